"""Answers of the daemon for people: what has a form of its own by that, everything else by its shape."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from rich.console import RenderableType
from rich.text import Text

from contracts.errors import JsonObject, JsonValue
from daemon.cli.output import figures
from daemon.cli.output.agents import logs, system_status
from daemon.cli.output.alerts import alerts
from daemon.cli.output.instructions import instruction
from daemon.cli.output.tables import cell, grid, status_cell, whole_line
from daemon.cli.output.timeline import timeline

_WIDEST_CELL: Final = 80
_STATUSES: Final = frozenset({"status", "severity", "state", "outcome"})
# To the second: what is looked at by eye; --json has the rest.
_MOMENT: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})[.0-9]*Z")

Render: TypeAlias = Callable[[str, JsonObject], Iterator[RenderableType]]


def render(command: str, result: JsonValue) -> Iterator[RenderableType]:
    """The result of a command, piece by piece."""
    if not isinstance(result, dict):
        yield _value("", result)
        return
    yield from _FORMS.get(command, _by_shape)(command, result)


def render_error(error: JsonObject) -> Iterator[RenderableType]:
    """A problem: its code and sentence, and every field that is wrong."""
    yield Text.assemble(cell(error.get("code"), "bold red"), "  ", cell(error.get("message")))
    details = error.get("details")
    listed = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    if listed:
        yield _table(listed, first=("path", "code", "message"))
    if error.get("trace_id"):
        yield cell(f"trace {error['trace_id']}", "dim")


def dependencies(found: Mapping[str, JsonValue]) -> RenderableType:
    """The dependency map of health-check and /readyz."""
    rows = []
    for name, dependency in found.items():
        known = dependency if isinstance(dependency, dict) else {}
        latency = known.get("latency_ms")
        rows.append(
            (
                cell(name, "bold"),
                status_cell(known.get("status")),
                f"{latency:,.1f} ms" if isinstance(latency, int | float) else "",
                known.get("detail") or "",
            )
        )
    return grid(["dependency", "status", ("latency", "right"), "detail"], rows)


def _health(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    yield Text.assemble("headgate is ", status_cell(result.get("status")), style="bold")
    found = result.get("dependencies")
    yield dependencies(found if isinstance(found, dict) else {})
    if result.get("run_id"):
        yield cell(f"run {result['run_id']}", "dim")


def _by_shape(command: str, result: JsonObject) -> Iterator[RenderableType]:
    """Single values as pairs, lists of objects as tables, in the order of the answer."""
    pairs = [
        (name, value) for name, value in result.items() if not _is_list_of_objects(value) and name != "next_cursor"
    ]
    if result.get("run_id", ...) is None:
        pairs = [(name, value) for name, value in pairs if name != "run_id"]  # a look that left no row
    if pairs:
        yield grid(["", ""], [(cell(name, "bold"), _value(name, value)) for name, value in pairs], headings=False)
    for name, value in result.items():
        if isinstance(value, list) and _is_list_of_objects(value):
            rows = [_in_a_table(row) for row in value if isinstance(row, dict)]
            yield _table(rows, title="" if name == "items" else name)
    if isinstance(result.get("items"), list) and not result["items"]:
        yield cell("nothing found", "dim")
    if result.get("next_cursor"):
        yield whole_line(f"there is more: {_CURSOR_OPTIONS.get(command, '--param cursor=')}{result['next_cursor']}")


def _in_a_table(row: JsonObject) -> JsonObject:
    """What of a row fits a line: an object with an id of a known sort shows its main columns, --json has them all."""
    columns = next((columns for key, columns in _MAIN_COLUMNS.items() if key in row), None)
    return row if columns is None else {name: row[name] for name in columns if name in row}


def _is_list_of_objects(value: JsonValue) -> bool:
    return isinstance(value, list) and (not value or all(isinstance(row, dict) for row in value))


def _table(rows: list[JsonObject], *, first: tuple[str, ...] = (), title: str = "") -> RenderableType:
    if not rows:
        return Text()
    known = dict.fromkeys(name for row in rows for name in row)
    columns = [*(name for name in first if name in known), *(name for name in known if name not in first)]
    numeric = {name for name in columns if all(_is_number(row.get(name)) for row in rows)}
    headings: list[str | tuple[str, str]] = [(name, "right") if name in numeric else name for name in columns]
    return grid(headings, [[_brief(_value(name, row.get(name))) for name in columns] for row in rows], title=title)


def _brief(value: Text) -> Text:
    """A cell of a table with many columns: --json has the whole of it."""
    value.truncate(_WIDEST_CELL, overflow="ellipsis")
    return value


def _is_number(value: JsonValue) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _value(name: str, value: JsonValue) -> Text:
    match value:
        case None:
            return cell("-", "dim")
        case bool():
            return cell("yes" if value else "no")
        case int():
            return cell(f"{value:,}")
        case str() if name in _STATUSES:
            return status_cell(value)
        case str():
            moment = _MOMENT.fullmatch(value)
            return cell(f"{moment[1]} {moment[2]}" if moment else value)
        case list() if all(isinstance(entry, str) for entry in value):
            return cell(", ".join(map(str, value)))
        case float():
            return cell(f"{value:,.6g}")
        case _:
            return cell(json.dumps(value, ensure_ascii=False))


def _letters(command: str, result: JsonObject) -> Iterator[RenderableType]:
    """A dead letter alone shows its reason as a refusal is shown, and its body last; lists go by their shape."""
    error = result.get("error")
    if not isinstance(error, dict):
        yield from _by_shape(command, result)
        return
    yield from _by_shape(
        command, {name: value for name, value in result.items() if name not in ("error", "body", "paths")}
    )
    yield from render_error(error)
    yield cell("body", "bold")
    yield cell(result.get("body"))


def _runs(command: str, result: JsonObject) -> Iterator[RenderableType]:
    """One run shows all that is known of it, its result included; several are a table."""
    items = result.get("items")
    if not isinstance(items, list) or len(items) != 1 or not isinstance(run := items[0], dict):
        yield from _by_shape(command, result)
        return
    yield from _by_shape(command, {name: value for name, value in run.items() if name not in ("result", "error")})
    outcome, error = run.get("result"), run.get("error")
    if isinstance(outcome, dict) and outcome:
        yield cell("result", "bold")
        yield from _by_shape(command, outcome)
    elif outcome is not None:
        yield _value("result", outcome)
    if isinstance(error, dict):
        yield from render_error(error)


def _report(command: str, result: JsonObject) -> Iterator[RenderableType]:
    """A report that came as text is shown as it came."""
    text = result.get("text")
    if not isinstance(text, str):
        yield from _by_shape(command, result)
        return
    for line in text.splitlines():
        yield cell(line)


_FORMS: Final[Mapping[str, Render]] = {
    "instruction.get": instruction,
    "instruction.put": instruction,
    "kpi-report": _report,
    "analytics.usage": figures.usage,
    "analytics.performance": figures.performance,
    "ledger.list": figures.sessions,
    "item.list": figures.items,
    "publication.list": figures.publications,
    "health-check": _health,
    "dead-letters": _letters,
    "runs": _runs,
    "explain": timeline,
    "system-status": system_status,
    "logs": logs,
    "alerts": alerts,
    "alert.list": alerts,
    "alert.get": alerts,
}
_CURSOR_OPTIONS: Final[Mapping[str, str]] = {"dead-letters": "--cursor="}
"""How the next page is asked for, where it is not a field of the payload."""
# By the id that a row has; the runs of a replay's items and the like show all they have.
_MAIN_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "dead_letter_id": ("dead_letter_id", "state", "kind", "code", "paths", "producer", "received_at"),
    "operation": ("run_id", "operation", "principal", "status", "started_at", "ended_at"),
}
