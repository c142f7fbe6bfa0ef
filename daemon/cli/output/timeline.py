"""``explain`` for people: a timeline, one line for each thing that happened: when, what, who, why."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from rich.console import RenderableType
from rich.text import Text

from contracts.errors import JsonObject, JsonValue
from daemon.cli.output.tables import cell

Say: TypeAlias = Callable[[JsonObject, JsonObject], str]
"""From an item and its details to a sentence."""

_WIDEST_WORD: Final = 11
_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("accepted", "approved"), "green"),
        **dict.fromkeys(("refused", "dead_letter", "discarded"), "red"),
        **dict.fromkeys(("edited", "replayed", "alert"), "yellow"),
        **dict.fromkeys(("transition", "dispatched", "callback"), "cyan"),
    }
)


_SHOWN_OF_ROW: Final = (
    *("version", "type", "model", "title", "topic", "platform", "format", "status", "validation_status"),
    *("impressions", "reach"),
)


def timeline(_command: str, result: JsonObject) -> Iterator[RenderableType]:
    """The story, day by day."""
    items = result.get("items")
    day = ""
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, dict):
            continue
        at = str(item.get("at", ""))
        if at[:10] != day:
            day = at[:10]
            yield cell(f"{day} UTC", "bold")
        yield _line(at[11:23], item)
    if result.get("next_cursor"):
        yield cell(f"the story goes on: --param cursor={result['next_cursor']}", "dim")


def _line(time: str, item: JsonObject) -> Text:
    what = str(item.get("what"))
    details = item.get("details")
    said = _SENTENCES.get(what, _plain)(item, details if isinstance(details, dict) else {})
    by = item.get("by")
    line = Text.assemble(cell(time, "dim"), "  ", cell(f"{what:<{_WIDEST_WORD}}", _STYLES.get(what, "bold")), "  ")
    line.append_text(cell(said))
    if by is not None:
        line.append_text(cell(f"  by {by}", "dim"))
    return line


def _received(_item: JsonObject, details: JsonObject) -> str:
    again = f", delivered {details['delivered']} times" if details.get("delivered") not in (None, 1) else ""
    return f"{details.get('stream')} #{details.get('sequence')} {details.get('subject')}{again}"


def _refused(_item: JsonObject, details: JsonObject) -> str:
    problem = details.get("problem")
    code = problem.get("code") if isinstance(problem, dict) else details.get("code")
    paths = _paths(problem.get("details")) if isinstance(problem, dict) else _list(details.get("paths"))
    number = details.get("replay_number")
    return " ".join(
        filter(None, [f"replay {number}:" if number else "", str(code or "the reason was replaced since"), paths])
    )


def _accepted(item: JsonObject, details: JsonObject) -> str:
    number = details.get("replay_number")
    return f"replay {number}" if number else str(item.get("id") or "")


def _dead_letter(item: JsonObject, details: JsonObject) -> str:
    return f"{item.get('id')}, {details.get('state')} now"


def _replay(item: JsonObject, details: JsonObject) -> str:
    number, reason = details.get("replay_number"), details.get("reason")
    named = f"replay {number} of {item.get('id')}" if number else f"in run {item.get('id')}"
    outcome = f", {details['outcome']}" if details.get("outcome") else ""
    return f"{named}{outcome}{f': {reason}' if reason else ''}"


def _discarded(item: JsonObject, details: JsonObject) -> str:
    reason = details.get("reason")
    return f"{item.get('id')}{f': {reason}' if reason else ''}"


def _row(item: JsonObject, details: JsonObject) -> str:
    more = ", ".join(_detail(name, details) for name in _SHOWN_OF_ROW if details.get(name) is not None)
    return f"{details.get('table')} {item.get('id')}{f' ({more})' if more else ''}"


def _detail(name: str, details: JsonObject) -> str:
    """States of a row are those of today, whenever it was made; of usage the status is what was reported."""
    said = str(details[name])
    if name in ("impressions", "reach"):
        return f"{name} {said}"
    return f"{said} now" if name == "status" and details.get("table") != "session_usage" else said


def _move(item: JsonObject, details: JsonObject) -> str:
    why = details.get("signal") or details.get("reason")
    before = f"{item['from']} → " if item.get("from") else ""
    return f"{before}{item.get('to')}{f' ({why})' if why else ''}"


def _approved(_item: JsonObject, details: JsonObject) -> str:
    more = details.get("more")
    said = more if isinstance(more, dict) else {}
    note = said.get("note")
    return f"instruction version {said.get('instruction_version')}{f': {note}' if note else ''}"


def _dispatched(item: JsonObject, details: JsonObject) -> str:
    again = f", again: {details['redispatches']}" if details.get("redispatches") else ""
    attempt = f", attempt {details['attempt']}" if details.get("attempt") is not None else ""
    return f"{details.get('type')} {item.get('id')}{attempt}{again}, {details.get('work_state')} now"


def _callback(item: JsonObject, details: JsonObject) -> str:
    attempt, sequence = details.get("attempt"), details.get("sequence")
    fence = "" if attempt is None else f", attempt {attempt}"
    return f"{details.get('family')} {item.get('id')}{fence}{'' if sequence is None else f', sequence {sequence}'}"


def _alert(item: JsonObject, details: JsonObject) -> str:
    if details.get("change") == "notified":
        return f"{details.get('action')} {details.get('severity')}: {details.get('notification')}"
    until = f" until {str(details['until_at'])[:19]}" if details.get("until_at") else ""
    reason = f": {details['reason']}" if details.get("reason") else ""
    return f"{details.get('change')}: {item.get('from')} → {item.get('to')}, {details.get('lifecycle')}{until}{reason}"


def _run(item: JsonObject, details: JsonObject) -> str:
    ended = f" {item['to']}" if item.get("to") else " began"
    error = details.get("error")
    why = f": {error.get('code')} {error.get('message')}" if isinstance(error, dict) else ""
    return f"{details.get('operation')} {item.get('id')}{ended}{why}"


def _plain(item: JsonObject, _details: JsonObject) -> str:
    return str(item.get("id") or "")


def _paths(details: JsonValue) -> str:
    found = details if isinstance(details, list) else []
    return ", ".join(str(each.get("path")) for each in found if isinstance(each, dict))


def _list(value: JsonValue) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else ""


_SENTENCES: Final[Mapping[str, Say]] = MappingProxyType(
    {
        "received": _received,
        "refused": _refused,
        "accepted": _accepted,
        "duplicate": _accepted,
        "dead_letter": _dead_letter,
        "edited": _replay,
        "replayed": _replay,
        "discarded": _discarded,
        "row": _row,
        "transition": _move,
        "approved": _approved,
        "dispatched": _dispatched,
        "callback": _callback,
        "alert": _alert,
        "run": _run,
    }
)
