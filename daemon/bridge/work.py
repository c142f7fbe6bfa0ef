"""The work messages that a bridge takes, read as tolerantly as a reader can: fields that it does not know are fine."""

import re
from dataclasses import dataclass
from typing import Final

from contracts.errors import JsonObject, Refusal
from contracts.gate import json_strict
from contracts.subjects import Subjects, parse_callback
from contracts.values.types import UUID_PATTERN
from contracts.values.work import WorkType

# Together with an attempt and a sequence it becomes an event id of at most 200 characters.
_WORK_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,150}")
_TRACE_ID: Final = re.compile(UUID_PATTERN)


class MalformedWorkError(Exception):
    """The message is no work that could be carried out, now or later; the text repeats no value of it."""


@dataclass(frozen=True, slots=True)
class BridgeWork:
    """One dispatch of one piece of work; ``callback_subject`` is as on the wire, ``payload`` is all it came with."""

    type: WorkType
    work_id: str
    attempt: int
    callback_subject: str
    job_id: str
    trace_id: str | None
    payload: JsonObject
    delivery: str = ""
    """The subject on which the message is answered."""


def read_work(body: bytes, work_type: WorkType, subjects: Subjects, delivery: str = "") -> BridgeWork:
    """Raises :class:`MalformedWorkError`."""
    try:
        envelope = json_strict.parse(body)
    except Refusal as refusal:
        raise MalformedWorkError(str(refusal)) from None
    payload = envelope.get("payload") if isinstance(envelope, dict) else None
    if not isinstance(envelope, dict) or not isinstance(payload, dict):
        raise MalformedWorkError("the body is no envelope with a payload")
    trace_id = envelope.get("trace_id")
    callback_subject = _text(payload, "callback_subject")
    return BridgeWork(
        type=work_type,
        work_id=_work_id(payload),
        attempt=_attempt(payload),
        callback_subject=callback_subject,
        job_id=_job_of(callback_subject, subjects),
        trace_id=trace_id if isinstance(trace_id, str) and _TRACE_ID.fullmatch(trace_id) else None,
        payload=payload,
        delivery=delivery,
    )


def _text(payload: JsonObject, field: str) -> str:
    value = payload.get(field)
    if not isinstance(value, str):
        raise MalformedWorkError(f"{field} is missing")
    return value


def _work_id(payload: JsonObject) -> str:
    work_id = _text(payload, "work_id")
    if _WORK_ID.fullmatch(work_id) is None:
        raise MalformedWorkError("work_id is no id")
    return work_id


def _attempt(payload: JsonObject) -> int:
    attempt = payload.get("attempt")
    if isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1:
        raise MalformedWorkError("attempt is no number from 1")
    return attempt


def _job_of(callback_subject: str, subjects: Subjects) -> str:
    """A bridge signs only what goes to the callback subject of a job."""
    bare = subjects.bare(callback_subject)
    callback = None if bare is None else parse_callback(bare)
    if callback is None or callback.family != "job" or not callback_subject.isprintable() or " " in callback_subject:
        raise MalformedWorkError("callback_subject is none of a job")
    return callback.id
