"""Replays of dead letters: sent to ``replay.<subject>``, judged like any message of their subject, and closed.

What a replay is a replay of is read from its row. Its message only names the row and the number, and counts for nothing
where the row is not being replayed under that number.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson

from contracts import subjects
from contracts.errors import ErrorCode, Problem, problem
from contracts.gate.delivery import Delivery, Lineage
from contracts.gate.receipts import RECEIPT_HEADER
from contracts.values.states import LetterState
from domain.dead_letters.dead_letters import LetterSignal, ReplayOutcome, target
from handlers.effects import Context, MessageOutcome, Verdict
from storage.journal.dead_letters import paths_of
from storage.journal.outbox import OutboxMessage
from storage.journal.replays import Begun, Closing, Original, ReplayKey
from storage.unit_of_work import UnitOfWork

LETTER_HEADER: Final = "Headgate-Dead-Letter"
NUMBER_HEADER: Final = "Headgate-Replay"
RUN_HEADER: Final = "Headgate-Run"

_SIGNALS: Final[Mapping[Verdict, LetterSignal]] = {
    Verdict.ACCEPTED: LetterSignal.TAKEN,
    Verdict.DUPLICATE: LetterSignal.TAKEN,
    Verdict.REFUSED: LetterSignal.REFUSED,
}
_MOST_DIGITS: Final = 9
_LETTER_ID: Final = re.compile("[A-Za-z0-9._:-]{1,200}")
"""Anything else no database need be asked for: it may not even be able to take it."""


def message_of(begun: Begun, body: bytes, run_id: str, context: Context) -> OutboxMessage:
    """The message of a replay that has begun. It carries nothing that a replay is judged by but its body."""
    subject = subjects.replay(begun.subject)
    return OutboxMessage(
        message_id=context.new_id(),
        lane=context.subjects.lane(subject),
        aggregate=f"dead_letter.{begun.dead_letter_id}",
        subject=context.subjects.full(subject),
        body=body,
        headers={
            LETTER_HEADER: begun.dead_letter_id,
            NUMBER_HEADER: str(begun.replay_number),
            RUN_HEADER: run_id,
        },
    )


def lineage_of(headers: Mapping[str, str]) -> Lineage | None:
    """Which replay a message of our own outbox is; None where it is none."""
    if LETTER_HEADER not in headers:
        return None
    return Lineage(headers[LETTER_HEADER], int(headers[NUMBER_HEADER]), headers[RUN_HEADER], edited=False)


def claimed_by(delivery: Delivery) -> ReplayKey | None:
    """Which replay a message says that it is; None where it names none."""
    letter, number = delivery.headers.get(LETTER_HEADER), delivery.headers.get(NUMBER_HEADER)
    if letter is None or number is None or not (number.isascii() and number.isdigit()) or len(number) > _MOST_DIGITS:
        return None
    return (letter, int(number)) if _LETTER_ID.fullmatch(letter) else None


def as_first_arrived(delivery: Delivery, original: Original | None) -> Delivery | None:
    """The message of a replay in the form in which its message first arrived, with the body that is replayed.

    None where it is none: the row is not being replayed under the number it names, or the body is another.
    """
    if original is None or original.body != delivery.body or delivery.subject != subjects.replay(original.subject):
        return None
    headers = orjson.loads(original.headers)
    # Whoever waited for the outcome has had it.
    headers.pop(RECEIPT_HEADER, None)
    return delivery._replace(
        subject=original.subject,
        headers=headers,
        stream=original.stream,
        sequence=original.sequence,
        stored_at=original.stored_at,
        lineage=Lineage(original.dead_letter_id, original.replay_number, original.run_id, original.edited),
    )


def superseded(deliveries: Sequence[Delivery], uow: UnitOfWork) -> list[int]:
    """Which of *deliveries* are no replays any more, or come twice; the rows of the others are locked."""
    named = [(index, lineage) for index, delivery in enumerate(deliveries) if (lineage := delivery.lineage) is not None]
    current = uow.replays.lock({(lineage.dead_letter_id, lineage.replay_number) for _, lineage in named})
    late: list[int] = []
    for index, lineage in named:
        key = (lineage.dead_letter_id, lineage.replay_number)
        if key in current:
            current.discard(key)
        else:
            late.append(index)
    return late


def close(decided: Iterable[tuple[Lineage, MessageOutcome, Problem | None]], uow: UnitOfWork, context: Context) -> None:
    """Write what the gate made of replays: resolved, or open again for a new reason."""
    closings = [
        _closing(lineage, signal, str(outcome.verdict), why)
        for lineage, outcome, why in decided
        if (signal := _SIGNALS.get(outcome.verdict)) is not None
    ]
    uow.replays.close(closings, now=context.now)


def open_again(replays: Sequence[Lineage], why: Problem, uow: UnitOfWork, context: Context) -> int:
    """End replays that nobody will decide on: their dead letters are open again for *why*; how many there were."""
    current = uow.replays.lock({(lineage.dead_letter_id, lineage.replay_number) for lineage in replays})
    closings = [
        _closing(lineage, LetterSignal.REFUSED, str(Verdict.REFUSED), why)
        for lineage in replays
        if (lineage.dead_letter_id, lineage.replay_number) in current
    ]
    uow.replays.close(closings, now=context.now)
    return len(closings)


def open_stuck(uow: UnitOfWork, context: Context, *, since: int, limit: int) -> int:
    """Open dead letters again of whose replays, begun at *since* or before, nothing was heard; how many there were."""
    stuck = uow.replays.stuck(since=since, limit=limit)
    lineages = [Lineage(each.dead_letter_id, each.replay_number, each.run_id, each.edited) for each in stuck]
    return open_again(lineages, STUCK, uow, context)


def _closing(lineage: Lineage, signal: LetterSignal, verdict: str, why: Problem | None) -> Closing:
    state = target(LetterState.REPLAYING, signal)
    if state is None:
        raise ValueError(f"a replay does not end by {signal}")
    key = (lineage.dead_letter_id, lineage.replay_number, lineage.run_id)
    if why is None:
        return Closing(*key, state, ReplayOutcome.REPLAYED, verdict)
    return Closing(
        *key,
        state,
        ReplayOutcome.STILL_FAILED,
        str(why.code),
        problem=orjson.dumps(why.as_json()).decode(),
        code=str(why.code),
        paths=paths_of(why),
        trace_id=why.trace_id,
    )


STUCK: Final = problem(ErrorCode.INTERNAL_ERROR, "the replay was sent and never heard of again")
TOO_LARGE: Final = problem(ErrorCode.PAYLOAD_TOO_LARGE, "the body is too large to be sent again")
