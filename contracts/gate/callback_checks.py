"""What is demanded of callbacks beside a valid envelope: a signature, one event id, the id of their own subject."""

from typing import Final

from contracts.errors import Problem
from contracts.gate.delivery import Accepted, Delivery, Judged, Refused
from contracts.gate.webhooks import WebhookVerifier, event_hash, matching_event
from contracts.payloads.callbacks import Callback, on_its_subject
from contracts.subjects import parse_callback


class CallbackChecks:
    """The checks of all callback families. Without a verifier nothing is signed: only where authentication is off."""

    def __init__(self, verifier: WebhookVerifier | None) -> None:
        self._verifier: Final = verifier

    def screen(self, delivery: Delivery) -> Problem | None:
        """Before the body is read: whether it is signed. A body that an operator corrected is taken on their word."""
        return None if self._verifier is None or _corrected(delivery) else self._verifier.screen(delivery)

    def finish(self, accepted: Accepted) -> Judged:
        """After it was proven: its hash covers the id in its subject, so that a copy on another's is a mismatch."""
        payload, subject = accepted.payload, parse_callback(accepted.delivery.subject)
        if subject is None or not isinstance(payload, Callback):
            raise TypeError(f"{accepted.kind} is no callback")
        objection = self._of_another_event(accepted, payload) or on_its_subject(payload, subject.id)
        if objection is not None:
            return Refused(
                objection.traced(accepted.trace_id),
                accepted.kind,
                accepted.message_id,
                accepted.producer,
                accepted.delivery,
            )
        return accepted._replace(payload_hash=event_hash(subject.id, accepted.payload_hash))

    def _of_another_event(self, accepted: Accepted, payload: Callback) -> Problem | None:
        if self._verifier is None or _corrected(accepted.delivery):
            return None
        return matching_event(accepted.delivery.headers, payload.event_id)


def _corrected(delivery: Delivery) -> bool:
    return delivery.lineage is not None and delivery.lineage.edited
