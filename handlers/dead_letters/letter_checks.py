"""``dead-letters check``: what the gate and the key would make of a body, with no effect."""

import orjson

from contracts.errors import JsonObject, Problem
from contracts.gate.delivery import Accepted, Delivery, Judged, Lineage
from contracts.gate.receipts import RECEIPT_HEADER
from contracts.payloads.callbacks import Callback
from contracts.subjects import parse_callback
from handlers.batch import key_conflict
from storage.journal.dead_letter_catalog import Letter
from storage.unit_of_work import UnitOfWork


def as_edited(letter: Letter, body: bytes) -> Delivery:
    """The delivery that a replay of *letter* with *body* would be judged as."""
    headers = orjson.loads(letter.headers)
    headers.pop(RECEIPT_HEADER, None)
    return Delivery(
        subject=letter.subject,
        body=body,
        headers=headers,
        stream=letter.stream,
        sequence=letter.sequence,
        delivered=1,
        stored_at=letter.stored_at,
        ack_to="",
        lineage=Lineage(letter.dead_letter_id, letter.replay_number + 1, "", edited=True),
    )


def verdict(judged: Judged, uow: UnitOfWork) -> JsonObject:
    """The gate's verdict, and the key's where the gate takes it."""
    if not isinstance(judged, Accepted):
        return _refused(judged.problem)
    known = _known_hash(judged, uow)
    if known is None:
        return {"outcome": "accepted"}
    if known == judged.payload_hash:
        return {"outcome": "duplicate"}
    return _refused(key_conflict(judged.delivery).traced(judged.trace_id))


def _known_hash(accepted: Accepted, uow: UnitOfWork) -> str | None:
    """The hash under which the message, or the event of a callback, was taken before."""
    key = (accepted.kind, accepted.message_id)
    if (known := uow.inbox.known([key]).get(key)) is not None:
        return known
    subject = parse_callback(accepted.delivery.subject)
    if subject is None or not isinstance(accepted.payload, Callback):
        return None
    event_id = accepted.payload.event_id
    return uow.callback_events.known(subject.family, [event_id]).get(event_id)


def _refused(why: Problem) -> JsonObject:
    return {"outcome": "refused", "error": why.as_json()}
