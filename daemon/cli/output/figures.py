"""Sessions, totals, items and publications as tables of 80 columns; ``--json`` has every field."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from rich.console import RenderableType

from contracts.errors import JsonObject, JsonValue
from daemon.cli.output.tables import cell, grid, whole_line

Heading: TypeAlias = str | tuple[str, str]

_MINUTES: Final = len("2026-11-20T10:15")
_RIGHT: Final = "right"


def usage(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """``analytics.usage``: the groups, and all of them together."""
    rows = [_usage_row(_key(row), row) for row in _rows(result)]
    totals = result.get("totals")
    if isinstance(totals, dict):
        rows.append(_usage_row("total", totals))
    right = ("requests", "errors", "tokens", "cost USD", "unpriced")
    columns: Sequence[Heading] = ("key", *((name, _RIGHT) for name in right))
    yield grid(columns, rows)


def performance(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """``analytics.performance``"""
    names = ("requests", "errors", "error_rate", "p50_runtime_ms", "p95_runtime_ms")
    columns: list[Heading] = ["key", *((name.replace("_", " "), _RIGHT) for name in names)]
    yield grid(columns, [[_key(row), *(_number(row.get(name)) for name in names)] for row in _rows(result)])


def sessions(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """``ledger.list``"""
    names = ("session_id", "agent", "model", "status")
    yield grid(
        [*names, "started", ("cost USD", _RIGHT)],
        [[*_words(row, names), _minute(row.get("started_at")), _money(row.get("cost_usd"))] for row in _rows(result)],
    )
    yield from _more(result)


def items(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """``item.list``"""
    names = ("item_id", "source", "status")
    yield grid(
        [*names, "sentiment", "published", ("attempts", _RIGHT)],
        [
            [
                *_words(row, names),
                cell(_sentiment(row.get("sentiment"))),
                _minute(row.get("published_at")),
                _number(row.get("attempts")),
            ]
            for row in _rows(result)
        ],
    )
    yield from _more(result)


def publications(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """``publication.list``"""
    names = ("post_id", "platform", "status", "objective")
    yield grid(
        [*names, "publish at", ("attempts", _RIGHT)],
        [[*_words(row, names), _minute(row.get("publish_at")), _number(row.get("attempts"))] for row in _rows(result)],
    )
    yield from _more(result)


def _usage_row(key: str, row: JsonObject) -> list[object]:
    cost = row.get("cost")
    unpriced = _number(cost.get("missing_count")) if isinstance(cost, dict) else cell("-", "dim")
    used = [row.get(name) for name in ("input_tokens", "output_tokens")]
    tokens = _short(sum(tokens for tokens in used if isinstance(tokens, int)))
    return [
        cell(key),
        _number(row.get("requests")),
        _number(row.get("errors")),
        tokens,
        _money(row.get("cost_usd")),
        unpriced,
    ]


def _short(number: int) -> str:
    """A count in few characters."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if number >= size:
            return f"{number / size:,.1f}{unit}"
    return f"{number:,}"


def _rows(result: JsonObject) -> list[JsonObject]:
    listed = result.get("items")
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def _key(row: JsonObject) -> str:
    key = row.get("key")
    return "  ".join(map(str, key)) if isinstance(key, list) else str(key)


def _words(row: JsonObject, names: Sequence[str]) -> list[object]:
    return [cell(row[name]) if row.get(name) is not None else cell("-", "dim") for name in names]


def _number(value: JsonValue) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return cell("-", "dim")
    return f"{value:,}" if isinstance(value, int) else f"{value:.2%}"


def _money(value: JsonValue) -> object:
    """Dollars and cents, the rest cut off; nothing known is no zero."""
    if not isinstance(value, str):
        return cell("-", "dim")
    dollars, _, fraction = value.partition(".")
    return f"{int(dollars):,}.{fraction[:2]}" if dollars.isdigit() else cell(value)


def _minute(value: JsonValue) -> object:
    return cell(str(value)[:_MINUTES].replace("T", " "))


def _sentiment(value: JsonValue) -> str:
    return f"{value.get('label')} {value.get('score')}" if isinstance(value, dict) else "-"


def _more(result: JsonObject) -> Iterator[RenderableType]:
    if not _rows(result):
        yield cell("nothing found", "dim")
    if result.get("next_cursor"):
        yield whole_line(f'there is more: "cursor": "{result["next_cursor"]}"')
