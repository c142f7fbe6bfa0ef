"""How ``headgate watch`` looks."""

from collections.abc import Sequence
from typing import Final

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from daemon.cli.output.answers import dependencies
from daemon.cli.output.tables import cell, grid
from daemon.cli.watch.watch_figures import Figures, Rate

_BARS: Final = "▁▂▃▄▅▆▇█"
_MOST_REFUSALS: Final = 8
_OUTCOME_STYLES: Final = {"accepted": "green", "duplicate": "cyan", "refused": "red", "held": "yellow"}


def view(found: Figures, history: Sequence[float], address: str) -> RenderableType:
    """One daemon; *history* holds the messages a second of the last readings, newest last."""
    return Group(
        _heading(found, address),
        *_obstacles(found),
        Text(),
        _throughput(found, history),
        Text(),
        Columns([Padding(_messages(found), (0, 4, 0, 0)), Padding(_state(found), (0, 4, 0, 0)), *_refusals(found)]),
        Text(),
        dependencies(found.dependencies),
    )


def away(reason: str) -> RenderableType:
    """No daemon to look at."""
    return Text.assemble(cell("● away", "bold red"), "  ", cell(reason))


def _heading(found: Figures, address: str) -> Text:
    light = cell("● ready", "bold green") if found.ready else cell(f"● not ready ({found.phase})", "bold red")
    return Text.assemble(cell("headgate", "bold"), "  ", light, "  ", cell(f"{address}  {found.at[:19]}Z", "dim"))


def _obstacles(found: Figures) -> list[Text]:
    return [
        Text.assemble("  ", cell(entry.get("dependency"), "red"), ": ", cell(entry.get("detail")))
        for entry in found.obstacles
    ]


def _throughput(found: Figures, history: Sequence[float]) -> Text:
    rate = "-" if found.per_second is None else f"{found.per_second:,.0f}"
    return Text.assemble(cell(f"{rate:>8}", "bold"), " messages/s  ", cell(sparkline(history), "green"))


def sparkline(history: Sequence[float]) -> str:
    """The readings as bars, the highest of them at full height."""
    top = max(history, default=0.0) or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, round(value / top * (len(_BARS) - 1)))] for value in history)


def _messages(found: Figures) -> RenderableType:
    rows = [
        (cell(kind), cell(outcome, _OUTCOME_STYLES.get(outcome, "")), _per_second(rate), f"{rate.total:,}")
        for rate in found.messages
        for kind, outcome in [rate.labels]
    ]
    return grid(
        ["kind", "outcome", ("per second", "right"), ("total", "right")], rows or [("no messages yet", "", "", "")]
    )


def _state(found: Figures) -> RenderableType:
    waiting = sum(pending for pending, _ in found.consumers.values()) if found.consumers else None
    in_work = sum(unacknowledged for _, unacknowledged in found.consumers.values()) if found.consumers else None
    rows = [
        ("lag p50 / p99", f"{_ms(found.lag_p50_ms)} / {_ms(found.lag_p99_ms)}"),
        ("messages in a batch", _number(found.batch_size)),
        ("waiting in streams", _number(waiting)),
        ("being worked on", _number(in_work)),
        ("outbox waiting", _alarming(found.outbox_rows, "yellow", beyond=1_000)),
        ("outbox oldest", "-" if found.outbox_oldest_s is None else f"{found.outbox_oldest_s:,.1f} s"),
        ("outbox refused", _alarming(found.outbox_failed, "red")),
        ("dead letters open", _alarming(found.dead_letters_open, "yellow")),
        ("memory", "-" if found.memory_mib is None else f"{found.memory_mib:,.0f} MiB"),
    ]
    return grid(["state", ("now", "right")], rows)


def _refusals(found: Figures) -> list[RenderableType]:
    if not found.refusals:
        return []
    rows = [
        (cell(rate.labels[0], "red"), _per_second(rate), f"{rate.total:,}") for rate in found.refusals[:_MOST_REFUSALS]
    ]
    return [grid(["refused", ("per second", "right"), ("total", "right")], rows)]


def _per_second(rate: Rate) -> Text:
    if rate.per_second is None:
        return cell("-", "dim")
    return cell(f"{rate.per_second:,.0f}", "" if rate.per_second else "dim")


def _alarming(value: int | None, style: str, *, beyond: int = 0) -> Text:
    return cell(_number(value), style if value is not None and value > beyond else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
