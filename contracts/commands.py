"""Commands on their way in. Their checks go in two steps, for authentication stands between envelope and payload."""

from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from contracts.delivery import Accepted, Delivery
from contracts.envelope import ENVELOPE_VERSIONS, Envelope1, Envelope2
from contracts.errors import ErrorCode, JsonObject, Problem, Refusal, invalid_field, problem
from contracts.examination import examine, trace_of, version_problem
from contracts.gate import accept_plain
from contracts.json_strict import NUMBER_OUT_OF_RANGE, numbers_in_range, read
from contracts.problems import details_of, refused
from contracts.registry import Contract
from contracts.rules import GateRules


@dataclass(frozen=True, slots=True)
class OpenedCommand:
    """A command whose envelope is in order; of its payload nothing is known yet but that it is an object."""

    contract: Contract
    delivery: Delivery
    value: JsonObject
    payload: JsonObject
    trace_id: str
    proven: Accepted | None = None
    """Where one pass has shown already that all of it is in order."""


def open_command(delivery: Delivery, contract: Contract, rules: GateRules) -> OpenedCommand | Problem:
    """Check size, JSON and envelope."""
    if len(delivery.body) > rules.max_bytes:
        return _TOO_LARGE
    try:
        value = read(delivery.body)
    except Refusal as refusal:
        return refusal.problem
    if not isinstance(value, dict):
        return _NO_OBJECT
    proven = accept_plain(contract, value, delivery)
    if proven is not None:
        return OpenedCommand(contract, delivery, value, _payload_of(value), proven.trace_id, proven)
    if not numbers_in_range(value):
        return NUMBER_OUT_OF_RANGE
    trace_id = trace_of(value)
    version = value.get("envelope_version")
    if type(version) is not int or version not in ENVELOPE_VERSIONS:
        return version_problem(value).traced(trace_id)
    try:
        envelope = (Envelope1 if version == 1 else Envelope2).model_validate(value)
    except ValidationError as error:
        return refused(details_of(error)).traced(trace_id)
    return OpenedCommand(contract, delivery, value, _payload_of(value), envelope.trace_id)


def _payload_of(value: JsonObject) -> JsonObject:
    payload = value["payload"]
    assert isinstance(payload, dict)  # noqa: S101 - the envelope says so
    return payload


def prove_command(opened: OpenedCommand, rules: GateRules) -> Accepted | Problem:
    """Check schema version and payload."""
    if opened.proven is not None:
        return opened.proven
    judged = examine(opened.delivery, opened.value, opened.contract, rules)
    return judged if isinstance(judged, Accepted) else judged.problem


_TOO_LARGE: Final = problem(ErrorCode.PAYLOAD_TOO_LARGE, "the body is over the limit of contracts.max_bytes")
_NO_OBJECT: Final = invalid_field("", "object_type", "The body should be a JSON object")
