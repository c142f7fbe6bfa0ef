"""Refused messages: the row first, the message to ``dead.<subject>`` second, both in the refusing transaction."""

from collections.abc import Sequence
from typing import Final

from contracts import outgoing, subjects
from contracts.gate.delivery import Refused
from handlers.effects import Context
from storage.journal.dead_letters import DeadLetter
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork

IMPORT_STREAM: Final = "import"
"""Where records of imports come from. Their sequence is made of what they say, so that a second import finds them."""


def record_dead_letters(refused: Sequence[Refused], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    """Keep *refused* as dead letters; answers the messages that tell of them. A delivery that meets another one of the
    same message (in this batch, or in that of a daemon that was too slow) finds its row and tells nothing again."""
    if refused and refused[0].delivery.stream == IMPORT_STREAM:
        refused = _not_kept_before(refused, uow)
    letters = [_letter(each, context.new_id()) for each in refused]
    kept = uow.dead_letters.add(letters, now=context.now)
    return [
        _message(each, letter, context)
        for each, letter in zip(refused, letters, strict=True)
        if letter.dead_letter_id in kept
    ]


def _not_kept_before(refused: Sequence[Refused], uow: UnitOfWork) -> Sequence[Refused]:
    """One of each record that has no dead letter yet, whenever and however often it was imported."""
    first = {each.delivery.sequence: each for each in reversed(refused)}
    known = uow.dead_letter_catalog.sequences_of(IMPORT_STREAM, list(first))
    return [each for each in refused if first[each.delivery.sequence] is each and each.delivery.sequence not in known]


def _letter(refused: Refused, dead_letter_id: str) -> DeadLetter:
    delivery = refused.delivery
    return DeadLetter(
        dead_letter_id=dead_letter_id,
        problem=refused.problem,
        kind=refused.kind,
        message_id=refused.message_id,
        producer=refused.producer,
        stream=delivery.stream,
        subject=delivery.subject,
        sequence=delivery.sequence,
        stored_at=delivery.stored_at,
        delivered=delivery.delivered,
        headers=outgoing.storable(delivery.headers),
        body=delivery.body,
    )


def _message(refused: Refused, letter: DeadLetter, context: Context) -> OutboxMessage:
    message_id = context.new_id()
    subject = subjects.dead(letter.subject)
    body = outgoing.dead_letter(
        letter.dead_letter_id,
        letter.problem,
        refused.delivery,
        subject=context.subjects.full(letter.subject),
        most_bytes=context.max_message_bytes,
        message_id=message_id,
        trace_id=outgoing.trace_or(letter.problem.trace_id, message_id),
        now=context.now,
    )
    return OutboxMessage(
        message_id=message_id,
        lane=context.subjects.lane(subject),
        aggregate=f"dead_letter.{letter.dead_letter_id}",
        subject=context.subjects.full(subject),
        body=body,
    )
