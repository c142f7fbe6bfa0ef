"""Commands on their way in. Their checks go in two steps, for authentication stands between envelope and payload."""

from dataclasses import dataclass
from typing import Final

from contracts.contract import Contract
from contracts.errors import ErrorCode, JsonObject, JsonValue, Problem, Refusal, problem
from contracts.gate.delivery import Accepted, Delivery
from contracts.gate.examination import examine, examine_envelope, trace_of
from contracts.gate.gate import accept_plain
from contracts.gate.json_strict import read
from contracts.gate.rules import GateRules


@dataclass(frozen=True, slots=True)
class OpenedCommand:
    """A command whose envelope is in order; of its payload nothing is known yet but that it is an object."""

    contract: Contract
    delivery: Delivery
    value: JsonValue
    payload: JsonObject
    trace_id: str
    proven: Accepted | None = None
    """Where one pass has shown already that all of it is in order."""


def open_command(
    delivery: Delivery, contract: Contract, rules: GateRules, *, most_bytes: int | None = None
) -> OpenedCommand | Problem:
    """Check size (at most *most_bytes*, by default those of any message), JSON, envelope and schema version."""
    if len(delivery.body) > (rules.max_bytes if most_bytes is None else most_bytes):
        return _TOO_LARGE
    try:
        value = read(delivery.body)
    except Refusal as refusal:
        return refusal.problem
    proven = accept_plain(contract, value, delivery)
    if proven is not None and isinstance(value, dict):
        return OpenedCommand(contract, delivery, value, _payload_of(value), proven.trace_id, proven)
    envelope = examine_envelope(delivery, value, contract, rules)
    if isinstance(envelope, Problem):
        return envelope
    return OpenedCommand(contract, delivery, value, _payload_of(envelope), str(trace_of(envelope)))


def _payload_of(envelope: JsonObject) -> JsonObject:
    payload = envelope["payload"]
    assert isinstance(payload, dict)  # noqa: S101 - the envelope says so
    return payload


def prove_command(opened: OpenedCommand, rules: GateRules) -> Accepted | Problem:
    """Check the payload."""
    if opened.proven is not None:
        return opened.proven
    judged = examine(opened.delivery, opened.value, opened.contract, rules)
    return judged if isinstance(judged, Accepted) else judged.problem


_TOO_LARGE: Final = problem(ErrorCode.PAYLOAD_TOO_LARGE, "the body is over the limit of contracts.max_bytes")
