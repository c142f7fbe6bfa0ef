"""Work that is handed out: what is dispatched, whose report still counts, and when a report may wait for older ones.

Whatever is worked on has a *dispatch attempt*, which rises with each message that goes out for it, and the last
accepted *sequence* of the reports on the current attempt. Together they are a fence: a worker that was believed dead
and comes back reports for an attempt that another has taken over, and changes nothing.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem, problem
from contracts.values.times import MICROS_PER_SECOND
from contracts.values.work import WorkType

_FIRST_HOLD_S: Final = 0.1
_HOLD_GROWTH: Final = 0.5
_LONGEST_HOLD: Final = 1 / 20
"""As a part of ``reorder_s``: what a report waits for may come the moment after it was given back, and others wait for
it in turn."""


class By(Struct, frozen=True):
    """Who decides, and when (microseconds since the epoch)."""

    actor: str
    at: int

    def in_seconds(self, seconds: float) -> int:
        return self.at + round(seconds * MICROS_PER_SECOND)


class Start(Struct, frozen=True):
    """What a new piece of work needs from outside: its id, and how long a worker may be silent."""

    work_id: str
    deadline_s: float


class WorkInHand(Struct, frozen=True):
    """The work that is out for a thing. ``redispatches`` counts how often it went out again after its deadline."""

    work_id: str
    type: WorkType
    deadline: int
    redispatches: int = 0


def kept_alive(work: WorkInHand | None, until: int) -> WorkInHand | None:
    """A report is a sign of life: the deadline moves on, and never comes nearer by one."""
    return None if work is None else replace(work, deadline=max(work.deadline, until))


class Overdue(StrEnum):
    """What is to be done about work in hand."""

    NOT_YET = "not_yet"
    AGAIN = "again"
    GIVE_UP = "give_up"


def judge_deadline(work: WorkInHand | None, *, at: int, max_attempts: int) -> Overdue:
    """Whether work is past its deadline, and whether it may go out again: at most ``max_attempts`` times."""
    if work is None or work.deadline > at:
        return Overdue.NOT_YET
    return Overdue.AGAIN if work.redispatches < max_attempts else Overdue.GIVE_UP


class Failure(Struct, frozen=True):
    """Why something failed, in the words of the worker or, where it stayed silent, in ours."""

    code: str
    message: str
    retryable: bool


UNEXPLAINED: Final = Failure("UNEXPLAINED", "the worker gave no reason", retryable=False)
GAVE_UP: Final = Failure(
    "DEADLINE_EXCEEDED", "no worker finished the work within its deadline and its attempts", retryable=True
)


def undeliverable(reason: str) -> Failure:
    """The broker refuses the message of the work for good, in its words."""
    return Failure("UNDELIVERABLE", f"the broker refuses the work's message: {reason}", retryable=False)


class Dispatch(Struct, frozen=True):
    """One work message to send."""

    work_id: str
    type: WorkType
    attempt: int
    deadline: int


class HandedOut(NamedTuple):
    """Work that goes out: in whose hand it is now, under which attempt, and the message of it."""

    work: WorkInHand
    attempt: int
    dispatch: Dispatch


def handed_out(work: WorkInHand, attempt: int, deadline_s: float, by: By) -> HandedOut:
    """*work* goes out under the attempt after *attempt*, whose reports are counted from one."""
    in_hand = replace(work, deadline=by.in_seconds(deadline_s))
    return HandedOut(in_hand, attempt + 1, Dispatch(in_hand.work_id, in_hand.type, attempt + 1, in_hand.deadline))


def once_more(work: WorkInHand) -> WorkInHand:
    """The same work, out again after its deadline: it keeps its id, and the time it goes out is counted."""
    return replace(work, redispatches=work.redispatches + 1)


class WorkChange(Struct, frozen=True):
    """What a decision on a thing that bears work did to its work.

    ``dispatch`` goes out; ``withdraw`` is to be taken out of the queue, given up for ``error`` where there is one. Else
    work that is no longer in hand has ended, for ``error`` or well, and work that still is got a sign of life.
    """

    before: WorkInHand | None
    after: WorkInHand | None
    dispatch: Dispatch | None = None
    withdraw: str | None = None
    error: Failure | None = None


class Fence(NamedTuple):
    """The current attempt of a thing (0: never handed out) and the last accepted sequence of its reports (0: none)."""

    attempt: int
    last_sequence: int


class Arrival(Struct, frozen=True):
    """How a report came: when the stream stored it, and whether older messages may still be on their way elsewhere.

    ``reorder_s`` is how long after it was stored a report may wait for them.
    """

    stored_at: int
    now: int
    older_outstanding: bool
    reorder_s: float

    def hold(self) -> "Held | None":
        """How long to wait for older messages; None where none can come or the time for it is over.

        Each wait is half as long as the report has waited already, up to a part of ``reorder_s``: a few dozen
        redeliveries at most, however long that is.
        """
        waited_s = max(0.0, (self.now - self.stored_at) / MICROS_PER_SECOND)
        left_s = self.reorder_s - waited_s
        if not self.older_outstanding or left_s <= 0:
            return None
        growing_s = min(waited_s * _HOLD_GROWTH, self.reorder_s * _LONGEST_HOLD)
        return Held(min(left_s, max(_FIRST_HOLD_S, growing_s)))


class Held(Struct, frozen=True):
    """Give it back to the stream, to be decided again after this delay."""

    delay_s: float


def fenced_out(fence: Fence, *, attempt: int | None, sequence: int) -> Problem | None:
    """Why a report does not count: another attempt has taken over, or a later report was accepted already.

    A report that names no attempt counts as one of the current attempt.
    """
    if attempt is not None and attempt != fence.attempt:
        return STALE_ATTEMPT
    return OUT_OF_ORDER if sequence <= fence.last_sequence else None


def skips(fence: Fence, sequence: int) -> bool:
    """Whether reports between the last accepted one and this one are missing."""
    return sequence > fence.last_sequence + 1


STALE_ATTEMPT: Final = problem(ErrorCode.STALE_ATTEMPT, "the report is not of the current attempt")
OUT_OF_ORDER: Final = problem(
    ErrorCode.CALLBACK_OUT_OF_ORDER, "the sequence is not above the last accepted one of its attempt"
)
EVENT_MISMATCH: Final = problem(ErrorCode.EVENT_ID_PAYLOAD_MISMATCH, "this event_id was used with another payload")


class Duplicate(Struct, frozen=True):
    """The same report again: answered 200, without effect."""


def known_event(known_hash: str, event_hash: str) -> Duplicate | Problem:
    """What an ``event_id`` that was accepted before is answered. Hashes cover the id in the subject."""
    return Duplicate() if known_hash == event_hash else EVENT_MISMATCH
