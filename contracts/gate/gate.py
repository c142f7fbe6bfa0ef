"""The gate: each delivery becomes an accepted envelope or a refusal, and nothing else.

Checks go in the order size, family's own (a signature), UTF-8 and JSON, envelope version, envelope, schema version,
payload. A message that is plainly in order takes one pass: read, validate envelope and payload together, hash. Whatever
is not (older envelopes, compat mode, anything wrong) is examined step by step in :mod:`contracts.gate.examination`.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from pydantic import ValidationError

from contracts.contract import Contract, Registry
from contracts.envelope import CURRENT_ENVELOPE
from contracts.errors import ErrorCode, JsonValue, Problem, Refusal, problem
from contracts.gate.canonical import payload_hash
from contracts.gate.delivery import Accepted, Delivery, Judged, Refused
from contracts.gate.examination import UNKNOWN_KIND, examine, refused_unread
from contracts.gate.json_strict import read
from contracts.gate.receipts import RECEIPT_HEADER, receipt_subject
from contracts.gate.rules import GateRules
from contracts.gate.typed_message import TypedDecoder
from contracts.subjects import Family

Screen: TypeAlias = Callable[[Delivery], Problem | None]
"""What a family demands before anything that its bodies say is judged: None, or why it refuses."""

Finish: TypeAlias = Callable[[Accepted], Judged]
"""What a family makes of a message that is proven in all other respects."""


class TypedContract(NamedTuple):
    """A kind whose newest schema has a typed decoder."""

    kind: str
    version: str
    decode: TypedDecoder


class Gate:
    """Judges deliveries. Pure: the same delivery always gets the same verdict."""

    def __init__(
        self,
        registry: Registry,
        rules: GateRules,
        screens: Mapping[Family, Screen] | None = None,
        finishes: Mapping[Family, Finish] | None = None,
    ) -> None:
        self._rules: Final = rules
        self._registry: Final = registry
        self._screens: Final = dict(screens or {})
        self._finishes: Final = dict(finishes or {})
        self._typed: Final = {
            contract.address: TypedContract(contract.kind, contract.newest.version, contract.newest.decode)
            for contract in registry.contracts(Family.INGEST)
            if contract.newest.decode is not None
        }

    def judge(self, delivery: Delivery) -> Judged:
        typed = self._typed.get(delivery.subject)
        if (
            typed is not None
            and len(delivery.body) <= self._rules.max_bytes
            and not isinstance(receipt_subject(delivery.headers, self._rules), Problem)
            and (message := typed.decode(delivery.body)) is not None
        ):
            return Accepted(
                typed.kind,
                message.message_id,
                message.trace_id,
                message.created_at,
                message.producer,
                message.payload_hash,
                message.payload,
                typed.version,
                CURRENT_ENVELOPE,
                False,
                delivery,
            )
        contract = self._registry.addressed(delivery.subject)
        judged = self._prove(delivery, contract)
        if contract is not None and contract.family in self._finishes and isinstance(judged, Accepted):
            return self._finishes[contract.family](judged)
        return judged

    def _prove(self, delivery: Delivery, contract: Contract | None) -> Judged:
        body = delivery.body
        if len(body) > self._rules.max_bytes:
            return _unread(delivery, contract, _TOO_LARGE)
        if contract is not None and contract.family in self._screens:
            objection = self._screens[contract.family](delivery)
            if objection is not None:
                return refused_unread(delivery, contract, self._rules, objection)
        try:
            value = read(body)
        except Refusal as refusal:
            return _unread(delivery, contract, refusal.problem)
        accepted = None if contract is None else accept_plain(contract, value, delivery)
        return accepted or examine(delivery, value, contract, self._rules)


def accept_plain(contract: Contract, value: JsonValue, delivery: Delivery) -> Accepted | None:
    """The one-pass way of a current envelope; None sends it to the examination, which finds out why."""
    body = delivery.body
    if (b"\\" in body and b"\\u0000" in body) or RECEIPT_HEADER in delivery.headers:
        return None
    # The model's literal would take 2.0 and true for what they equal.
    if type(value) is not dict or type(value.get("envelope_version")) is not int:
        return None
    version = value.get("schema_version")
    if type(version) is not str or version not in contract.schemas:
        return None
    versioned = contract.schemas[version]
    try:
        envelope = versioned.prove_2(value)
    except ValidationError:
        return None
    adapt = versioned.schema.adapt
    return Accepted(
        contract.kind,
        envelope.message_id,
        envelope.trace_id,
        envelope.created_at,
        envelope.producer,
        payload_hash(value["payload"]),
        envelope.payload if adapt is None else adapt(envelope.payload),
        version,
        CURRENT_ENVELOPE,
        False,
        delivery,
    )


def _unread(delivery: Delivery, contract: Contract | None, why: Problem) -> Refused:
    return Refused(why, contract.kind if contract else UNKNOWN_KIND, None, None, delivery)


_TOO_LARGE: Final = problem(ErrorCode.PAYLOAD_TOO_LARGE, "the body is over the limit of contracts.max_bytes")
