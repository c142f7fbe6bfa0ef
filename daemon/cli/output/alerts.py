"""Alerts for people: a table of all, and the history of one as a timeline, at 80 columns."""

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from contracts.errors import JsonObject, JsonValue
from daemon.cli.output.tables import cell, grid, status_cell, whole_line

_NOT_TOLD: Final = "-"
_LARGE: Final = 1_000
_HUGE: Final = 1_000_000


def alerts(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """All alerts, one after an act on it, one with its history, or how a test message went."""
    if isinstance(items := result.get("items"), list):
        yield _table([item for item in items if isinstance(item, dict)])
        if result.get("next_cursor"):
            yield whole_line(f"there is more: --param cursor={result['next_cursor']}")
    elif isinstance(alert := result.get("alert"), dict):
        yield _table([alert])
        yield from _why_quiet(alert)
    elif "history" in result:
        yield _table([result])
        yield from _why_quiet(result)
        yield from _history(result["history"])
    else:
        yield cell(f"{result.get('notifier')}: {result.get('outcome')}", "green")


def _table(found: list[JsonObject]) -> RenderableType:
    rows = [
        (
            cell(alert.get("rule"), "bold"),
            status_cell(alert.get("severity")),
            cell(alert.get("lifecycle")),
            _number(alert.get("value")),
            _thresholds(alert.get("thresholds")),
            _moment(alert.get("since"))[5:16],
        )
        for alert in found
    ]
    return grid(["rule", "severity", "lifecycle", ("value", "right"), ("from", "right"), "since"], rows)


def _why_quiet(alert: JsonObject) -> Iterator[RenderableType]:
    if alert.get("suppressed_until"):
        reason = alert.get("suppression_reason") or "no reason given"
        until = _moment(alert.get("suppressed_until"))
        yield cell(f"quiet until {until}, says {alert.get('suppressed_by')}: {reason}", "yellow")
    if alert.get("acknowledged_by"):
        yield cell(f"{alert['acknowledged_by']} has taken it on at {_moment(alert.get('acknowledged_at'))}", "yellow")


def _history(steps: JsonValue) -> Iterator[RenderableType]:
    """Newest first, as the answer has it: a line each, and below it what notifiers were told."""
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        line = Text.assemble(cell(_moment(step.get("at")), "dim"), "  ", cell(f"{step.get('what')!s:<17}", "bold"), " ")
        line.append_text(status_cell(step.get("severity")))
        if step.get("value") is not None:
            line.append_text(cell(f" at {_number(step['value'])}"))
        if step.get("actor") is not None:
            line.append_text(cell(f"  by {step['actor']}", "dim"))
        if step.get("reason") is not None:
            line.append_text(cell(f": {step['reason']}"))
        yield line
        told = step.get("notifications")
        for notification in told if isinstance(told, list) else []:
            if isinstance(notification, dict):
                yield _told(notification)


def _told(notification: JsonObject) -> RenderableType:
    failure = f": {notification['failure']}" if notification.get("failure") else ""
    tries = notification.get("attempts")
    said = f"{notification.get('notifier')} {notification.get('action')} {notification.get('state')}"
    return cell(f"{'':21}{said}, tries: {tries}{failure}", "dim")


def _thresholds(thresholds: JsonValue) -> str:
    if not isinstance(thresholds, dict):
        return _NOT_TOLD
    return f"{_short(thresholds.get('warning'))} / {_short(thresholds.get('critical'))}"


def _number(value: JsonValue) -> str:
    if not isinstance(value, int | float):
        return _NOT_TOLD
    if abs(value) >= _HUGE:
        return _short(value)
    return f"{round(value):,}" if abs(value) >= _LARGE else f"{value:.4g}"


def _short(value: JsonValue) -> str:
    """A threshold in few characters: 600k, 1.2M."""
    if not isinstance(value, int | float):
        return _NOT_TOLD
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _moment(at: JsonValue) -> str:
    """To the second; --json has the rest."""
    return at[:19].replace("T", " ") if isinstance(at, str) else _NOT_TOLD
