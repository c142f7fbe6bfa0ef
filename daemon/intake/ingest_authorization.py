"""Ingest with tokens (``auth.ingest = "jwt"``): a producer speaks in its own name only, and only with the scope for it.

A token is judged as of the moment the stream stored the message: what waited out an outage stays valid.
"""

from contracts.gate.delivery import Accepted, Delivery, Judged, Refused
from contracts.gate.examination import is_producer
from contracts.gate.gate import Gate
from contracts.subjects import Family, family_of
from contracts.values.principals import Principal
from daemon.commands.authorization import Authenticator
from domain.access import may_ingest


class IngestAuthorization:
    """A gate that also asks who sends. Only what the gate would take is asked."""

    def __init__(self, gate: Gate, authenticator: Authenticator) -> None:
        self._gate = gate
        self._authenticator = authenticator

    def judge(self, delivery: Delivery) -> Judged:
        judged = self._gate.judge(delivery)
        if delivery.lineage is not None:
            return judged  # no row keeps a token: the operator who replays vouches for the message
        if isinstance(judged, Refused) or family_of(delivery.subject) is not Family.INGEST:
            return judged
        principal = self._authenticator.authenticate(delivery.headers, delivery.stored_at)
        if isinstance(principal, Principal):
            judged = _in_the_name_of(principal, judged)
            objection = may_ingest(principal, judged.producer)
        else:
            objection = principal
        if objection is None:
            return judged
        return Refused(objection.traced(judged.trace_id), judged.kind, judged.message_id, judged.producer, delivery)


def _in_the_name_of(principal: Principal, accepted: Accepted) -> Accepted:
    """A message that names no producer is its token's, where the token's subject can be a producer's name."""
    if accepted.envelope_version != 1 or not is_producer(principal.owner):
        return accepted
    return accepted._replace(producer=principal.owner)
