"""``explain``: the whole story of a message, of a trace or of a thing, in order.

It tells what rows say and nothing else: what is not recorded is not told, and no gap is filled.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from types import MappingProxyType
from typing import Final

from contracts.errors import JsonObject
from contracts.payloads.operations import questions as asked
from contracts.values.times import format_micros
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor
from handlers.effects import Context
from handlers.questions.find import things
from storage.questions.ids import FoundId
from storage.questions.story_facts import StoryFact, StoryKey, StoryMark
from storage.unit_of_work import UnitOfWork

_LETTER: Final = ("letters.received", "letters.refused", "letters.kept", "letters.discarded")
_REPLAYS: Final = ("replays.requested", "replays.decided")
_WORK: Final = ("work.first", "work.again", "callbacks", "replays_of_item")
_OF_MESSAGE: Final = (
    "inbox",
    *(f"letters_of_message.{part}" for part in ("received", "refused", "kept", "discarded")),
    *("replays_of_message.requested", "replays_of_message.decided"),
)
_ROWS_OF_MESSAGE: Final = tuple(
    f"{table}.by_message"
    for table in ("session_events", "session_usage", "feed_items", "ideas", "scripts", "publications")
)
_OF_TRACE: Final = (
    *(f"letters_of_trace.{part}" for part in ("received", "refused", "kept", "discarded")),
    *("replays_of_trace.requested", "replays_of_trace.decided"),
    *("runs.by_trace", "runs.by_trace.ended", "job_events.by_trace", "tasks.by_trace", "session_events.by_trace"),
    *(f"{table}.by_trace" for table in ("feed_items", "ideas", "scripts", "publications")),
)
_OF_THING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "dead_letter": (*_LETTER, *_REPLAYS),
        "session": ("session_ledger", "session_events", "session_usage"),
        "item": ("feed_items", *_WORK),
        "idea": ("ideas",),
        "script": ("scripts",),
        "publication": ("publications", "publications.cancelled", "post_measurements", *_WORK),
        "job": ("jobs", "jobs.retried", "job_events", "instruction_versions", "exports.of_job", *_WORK),
        "task": ("tasks", *_WORK),
        "export": ("exports",),
        "run": ("runs", "runs.ended", "replays_of_run.requested", "replays_of_run.decided"),
        "alert": ("alert_transitions", "alert_notifications"),
    }
)
_CALLBACK_FAMILY: Final = MappingProxyType({"job": "job", "task": "task", "item": "item", "publication": "publish"})
"""Thing -> the family of its callbacks: those that were refused are dead letters of its subject."""
_TABLE_OF_THING: Final = MappingProxyType(
    {"item": "feed_items", "idea": "ideas", "script": "scripts", "publication": "publications"}
)
"""Thing that one message made -> its table."""
_THING_OF_ROW: Final = MappingProxyType({"feed_items": "item", "publications": "publication"})


def explain(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """Oldest first. Refused as :data:`NOT_FOUND` where nothing is known."""
    wanted = payload_of(command, asked.Explain)
    mark = read_cursor("explain", wanted.cursor, int, int, str)
    after = None if mark is None else StoryMark(int(mark[0]), int(mark[1]), str(mark[2]))
    facts = _merged(_keys(wanted, uow), after, wanted.limit + 1, uow)
    if not facts and after is None:
        return refuse(NOT_FOUND)
    return ok(page(facts, wanted.limit, _view, lambda fact: cursor("explain", *fact.mark), context))


def _keys(wanted: asked.Explain, uow: UnitOfWork) -> list[StoryKey]:
    if wanted.trace_id is not None:
        return [StoryKey(source, str(wanted.trace_id)) for source in _OF_TRACE]
    if wanted.kind is not None and wanted.message_id is not None:
        return _keys_of_message(wanted.kind, wanted.message_id, uow)
    found = things(wanted.id or "", uow)
    keys = [key for each in found for key in (*_keys_of_thing(each.what, each.id), *_keys_of_origin(each, uow))]
    keys += [key for each in found if each.what == "dead_letter" for key in _keys_of_letter(each, uow)]
    return list(dict.fromkeys(keys))


def _keys_of_message(kind: str, message_id: str, uow: UnitOfWork) -> list[StoryKey]:
    """The message, the rows that bear it, and the things that these are."""
    keys = [StoryKey(source, message_id, kind) for source in _OF_MESSAGE]
    for source in _ROWS_OF_MESSAGE:
        table = source.partition(".")[0]
        if kind not in _KINDS_OF_TABLE[table]:
            continue
        keys.append(StoryKey(source, message_id))
        if (thing := _THING_OF_ROW.get(table)) is not None:
            rows = uow.stories.facts(keys[-1], after=None, limit=1)
            keys += [key for row in rows for key in _keys_of_thing(thing, row.id or "") if key.source != table]
    return keys


def _keys_of_thing(what: str, thing_id: str) -> list[StoryKey]:
    keys = [StoryKey(source, thing_id) for source in _OF_THING.get(what, ())]
    if (family := _CALLBACK_FAMILY.get(what)) is not None:
        subject = f"callback.{family}.{thing_id}"
        keys += [StoryKey(f"letters_of_subject.{part}", subject) for part in ("received", "refused", "kept")]
    return keys


def _keys_of_origin(found: FoundId, uow: UnitOfWork) -> list[StoryKey]:
    """Of the message that made a thing what it is: when it was refused, edited, accepted."""
    table = _TABLE_OF_THING.get(found.what)
    rows = uow.stories.facts(StoryKey(table, found.id), after=None, limit=1) if table is not None else ()
    return [
        StoryKey(source, str(row.details["message_id"]), kind)
        for row in rows
        for kind in _KINDS_OF_TABLE[str(row.details["table"])]
        for source in _OF_MESSAGE
    ]


def _keys_of_letter(found: FoundId, uow: UnitOfWork) -> list[StoryKey]:
    """Of the message of a dead letter: when it was accepted at last, and what it became."""
    refused = uow.stories.facts(StoryKey("letters.refused", found.id), after=None, limit=1)
    message_id = refused[0].details.get("message_id") if refused else None
    if not isinstance(message_id, str) or found.kind is None:
        return []
    return [key for key in _keys_of_message(found.kind, message_id, uow) if not key.source.startswith("letters_of")]


def _merged(keys: Iterable[StoryKey], after: StoryMark | None, limit: int, uow: UnitOfWork) -> Sequence[StoryFact]:
    """The first facts of all sources together; what two sources tell alike is told once."""
    streams = [uow.stories.facts(key, after=after, limit=limit) for key in keys]
    facts: dict[tuple[int, int, str, str], StoryFact] = {}
    for fact in merge(*streams, key=lambda fact: fact.mark):
        facts.setdefault((*fact.mark, fact.what), fact)
    return list(facts.values())[:limit]


def _view(fact: StoryFact) -> JsonObject:
    view: JsonObject = {"at": format_micros(fact.at), "what": fact.what}
    view |= {
        name: value
        for name, value in (("id", fact.id), ("from", fact.from_), ("to", fact.to), ("by", fact.by))
        if value is not None
    }
    return {**view, "details": _readable(fact.details)} if fact.details else view


def _readable(details: JsonObject) -> JsonObject:
    """The details with moments as they are written everywhere."""
    return {
        name: format_micros(value) if name.endswith("_at") and isinstance(value, int) else value
        for name, value in details.items()
    }


_KINDS_OF_TABLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "session_events": ("session.event",),
        "session_usage": ("session.usage",),
        "feed_items": ("feed.item",),
        "ideas": ("content.idea",),
        "scripts": ("content.script",),
        "publications": ("content.schedule",),
    }
)
