"""Questions about dead letters: lists, groups, one with its body and all its replays."""

import json
from base64 import b64encode
from typing import Final

import orjson

from contracts import outgoing
from contracts.errors import JsonObject, JsonValue, invalid_field
from contracts.payloads.operations import failures as asked
from contracts.values.times import MICROS_PER_DAY, format_micros
from domain.dead_letters.differences import Change, differences
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor, read_place
from handlers.dead_letters.selections import UNFINISHED, letter_filter
from handlers.effects import Context
from storage.journal.dead_letter_catalog import Letter, LetterGroup
from storage.journal.discards import Discard
from storage.journal.replays import Replay
from storage.unit_of_work import UnitOfWork


def list_letters(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``dead-letters list``: newest first."""
    wanted = payload_of(command, asked.DeadLetters)
    mark = read_cursor("letters", wanted.cursor, int, str)
    before = None if mark is None else (int(mark[0]), str(mark[1]))
    rows = uow.dead_letter_catalog.page(letter_filter(wanted), before=before, limit=wanted.limit + 1)

    def place(letter: Letter) -> str:
        return cursor("letters", letter.received_at, letter.dead_letter_id)

    return ok(page(rows, wanted.limit, line_view, place, context))


def list_groups(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``dead-letters groups``: what failed alike, the most first; what nobody need look at only where asked for."""
    wanted = payload_of(command, asked.DeadLetters)
    offset = read_place("groups", wanted.cursor)
    rows = uow.dead_letter_catalog.groups(
        letter_filter(wanted, states=UNFINISHED), offset=offset, limit=wanted.limit + 1
    )
    places = {group: number for number, group in enumerate(rows, start=offset + 1)}
    return ok(page(rows, wanted.limit, group_view, lambda group: cursor("groups", places[group]), context))


def show_letter(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``dead-letters show``: everything of one. A body that is too large for a reply comes in parts, by cursor."""
    wanted = payload_of(command, asked.DeadLetters)
    letter = uow.dead_letter_catalog.get(wanted.dead_letter_id or "")
    if letter is None:
        return refuse(NOT_FOUND)
    body = _body_view(letter, uow, context, offset=read_place("body", wanted.cursor))
    discarded = _discard_view(uow.discards.get(letter.dead_letter_id))
    return ok(letter_view(letter) | body | discarded | {"replays": _replays(letter, uow, context)})


def count_over_time(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``dead-letters histogram``: how many were refused in each of some equal parts of a time, by default a day."""
    wanted = payload_of(command, asked.DeadLetters)
    until = context.now if wanted.until is None else wanted.until
    since = until - MICROS_PER_DAY if wanted.since is None else wanted.since
    if since >= until:
        return refuse(_NO_TIME)
    counts = uow.dead_letter_catalog.histogram(letter_filter(wanted), since=since, until=until, buckets=wanted.buckets)
    items: list[JsonValue] = [
        {"start": format_micros(since + number * (until - since) // wanted.buckets), "count": counts.get(number, 0)}
        for number in range(wanted.buckets)
    ]
    return ok({"items": items})


_NO_TIME: Final = invalid_field("payload.until", "not_after_since", "The end should be after the beginning")


def line_view(letter: Letter) -> JsonObject:
    """A dead letter in a list."""
    problem = orjson.loads(letter.problem)
    return {
        "dead_letter_id": letter.dead_letter_id,
        "state": letter.state,
        "kind": letter.kind,
        "code": letter.code,
        "message": problem["message"],
        "paths": _paths(letter.paths),
        "producer": letter.producer,
        "message_id": letter.message_id,
        "trace_id": letter.trace_id,
        "subject": letter.subject,
        "replay_number": letter.replay_number,
        "bytes": letter.size,
        "received_at": format_micros(letter.received_at),
        "updated_at": format_micros(letter.updated_at),
    }


def group_view(group: LetterGroup) -> JsonObject:
    return {
        "kind": group.kind,
        "code": group.code,
        "paths": _paths(group.paths),
        "producer": group.producer,
        "count": group.letters,
        "first_seen": format_micros(group.first_seen),
        "last_seen": format_micros(group.last_seen),
    }


def letter_view(letter: Letter) -> JsonObject:
    """A dead letter with its reason and where it came from; headers that are secrets read ``redacted``."""
    return line_view(letter) | {
        "error": orjson.loads(letter.problem),
        "origin": {
            "stream": letter.stream,
            "subject": letter.subject,
            "sequence": letter.sequence,
            "delivered": letter.delivered,
            "received_at": format_micros(letter.stored_at),
            "headers": outgoing.shown(orjson.loads(letter.headers)),
        },
    }


def _paths(paths: str) -> list[JsonValue]:
    return [*paths.split(",")] if paths else []


def _body_view(letter: Letter, uow: UnitOfWork, context: Context, *, offset: int) -> JsonObject:
    """The body, whole where it fits into a quarter of what a message may have, else a part of it in base64."""
    room = context.max_message_bytes // 4
    if letter.size <= room and not offset:
        body, encoding = outgoing.readable(uow.dead_letter_catalog.body(letter.dead_letter_id))
        if len(orjson.dumps(body)) <= 2 * room:
            return {"body": body, "body_encoding": str(encoding), "next_cursor": None}
    part = uow.dead_letter_catalog.body(letter.dead_letter_id, offset=offset, length=room)
    end = offset + len(part)
    return {
        "body": b64encode(part).decode(),
        "body_encoding": "base64",
        "truncated": True,
        "next_cursor": cursor("body", end) if end < letter.size else None,
    }


def _discard_view(discard: Discard | None) -> JsonObject:
    if discard is None:
        return {}
    told: JsonObject = {
        "run_id": discard.run_id,
        "principal": discard.principal,
        "reason": discard.reason,
        "at": format_micros(discard.discarded_at),
    }
    return {"discarded": told}


def _replays(letter: Letter, uow: UnitOfWork, context: Context) -> list[JsonValue]:
    """Every replay, newest last; the newest that fit are told."""
    room = context.max_message_bytes // 4
    views: list[JsonValue] = []
    for replay in reversed(uow.replays.history(letter.dead_letter_id)):
        view = _replay_view(replay, letter, uow)
        room -= len(orjson.dumps(view))
        if room < 0:
            break
        views.append(view)
    return views[::-1]


def _replay_view(replay: Replay, letter: Letter, uow: UnitOfWork) -> JsonObject:
    view: JsonObject = {
        "replay_number": replay.replay_number,
        "run_id": replay.run_id,
        "principal": replay.principal,
        "requested_at": format_micros(replay.requested_at),
        "outcome": replay.outcome,
        "decided_at": None if replay.decided_at is None else format_micros(replay.decided_at),
        "error": None if replay.problem is None else orjson.loads(replay.problem),
        "edited": replay.body is not None,
    }
    if replay.body is None:
        return view
    if replay.reason is not None:
        view["reason"] = replay.reason
    body, encoding = outgoing.readable(replay.body)
    original = uow.dead_letter_catalog.body(letter.dead_letter_id)
    return view | {"body": body, "body_encoding": str(encoding), "difference": _difference(original, replay.body)}


def _difference(original: bytes, edited: bytes) -> list[JsonValue]:
    """What an operator changed: place by place where both are JSON that can be walked through, else as a whole."""
    try:
        was, now = orjson.loads(original), orjson.loads(edited)
        return [_change(change) for change in differences(was, now)]
    except (orjson.JSONDecodeError, RecursionError):
        return [{"path": "", "change": "replaced"}]


def _change(change: Change) -> JsonObject:
    """Values that are objects or lists are told as text: however deep a body nests, the answer does not."""
    view: JsonObject = {"path": change.path, "change": change.kind}
    if change.kind != "added":
        view["was"] = _flat(change.was)
    if change.kind != "removed":
        view["now"] = _flat(change.now)
    return view


def _flat(value: JsonValue) -> JsonValue:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
