"""The long way through the gate: older envelopes, compat mode, and the full story of what is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from pydantic import TypeAdapter, ValidationError

from contracts.contract import Contract, VersionedSchema
from contracts.envelope import (
    ENVELOPE_FIELDS,
    ENVELOPE_VERSIONS,
    UNKNOWN_PRODUCER,
    Envelope1,
    Envelope2,
    Proven1,
    Proven2,
)
from contracts.errors import (
    MAX_DETAILS,
    Detail,
    ErrorCode,
    JsonObject,
    JsonValue,
    Problem,
    Refusal,
    invalid,
    invalid_field,
    problem,
)
from contracts.gate.canonical import payload_hash
from contracts.gate.delivery import Accepted, Delivery, Judged, Refused
from contracts.gate.json_strict import NUMBER_OUT_OF_RANGE, may_overflow, numbers_in_range, read
from contracts.gate.problems import dotted, first_details
from contracts.gate.receipts import receipt_subject
from contracts.gate.rules import GateRules
from contracts.values.times import format_micros
from contracts.values.types import MessageId, Producer, TraceId

UNKNOWN_KIND: Final = "unknown"
"""What refusals of undeclared kinds are listed and counted under."""

MESSAGE_ID_HEADER: Final = "Nats-Msg-Id"
_NUL: Final = "\0"


@dataclass(frozen=True, slots=True)
class _Reading:
    """A body on its way: the envelope as it is to be read, and what is known beside it."""

    delivery: Delivery
    contract: Contract | None
    envelope: JsonObject
    adapted: bool = False

    @property
    def version(self) -> JsonValue:
        return self.envelope.get("envelope_version")

    @property
    def has_known_version(self) -> bool:
        return type(self.version) is int and self.version in ENVELOPE_VERSIONS

    @property
    def kind(self) -> str:
        return _kind_of(self.contract)

    @property
    def versioned(self) -> VersionedSchema | None:
        """The schema that the body names, where the kind has it."""
        named = self.envelope.get("schema_version")
        return self.contract.schemas.get(named) if self.contract is not None and isinstance(named, str) else None

    @property
    def payload_hash(self) -> str:
        return payload_hash(self.envelope.get("payload"))

    @property
    def message_id(self) -> str | None:
        """The key of the message, where it can be told."""
        if self.version != 1:
            return _valid(_MESSAGE_ID, self.envelope.get("message_id"))
        return _valid(_MESSAGE_ID, self.key_1) if isinstance(self.envelope.get("payload"), dict) else None

    @property
    def key_1(self) -> str:
        """The key of a version 1 message: its header as it came, or the hash of its payload."""
        header = self.delivery.headers.get(MESSAGE_ID_HEADER)
        return f"sha256:{self.payload_hash}" if header is None else header

    @property
    def producer(self) -> str | None:
        return UNKNOWN_PRODUCER if self.version == 1 else _valid(_PRODUCER, self.envelope.get("producer"))


def examine(delivery: Delivery, value: JsonValue, contract: Contract | None, rules: GateRules) -> Judged:
    """Judge a body that has been read as JSON, step by step."""
    reading = _reading(delivery, value, contract, rules)
    if isinstance(reading, Problem):
        return Refused(reading, _kind_of(contract), None, None, delivery)
    if not reading.has_known_version:
        return _refuse(reading, version_problem(reading.envelope))
    proven, violations = _prove(reading)
    violations += _beside_the_body(reading, rules)
    violations = _with_nuls(reading, violations)
    if violations:
        return _refuse(reading, invalid(violations))
    if proven is None:
        return _refuse(reading, _unsupported_schema(reading))
    return _accept(reading, proven)


def examine_envelope(
    delivery: Delivery, value: JsonValue, contract: Contract, rules: GateRules
) -> JsonObject | Problem:
    """All that can be told of a body without a look at its payload: the envelope as it is to be read, or a problem."""
    reading = _reading(delivery, value, contract, rules)
    if isinstance(reading, Problem):
        return reading
    why = version_problem(reading.envelope)
    if reading.has_known_version:
        violations = [*_envelope_details(reading), *_beside_the_body(reading, rules)]
        violations = _with_nuls(reading, violations, within_payload=False)
        if not violations and reading.versioned is not None:
            return reading.envelope
        why = invalid(violations) if violations else _unsupported_schema(reading)
    return why.traced(trace_of(reading.envelope))


def _reading(delivery: Delivery, value: JsonValue, contract: Contract | None, rules: GateRules) -> _Reading | Problem:
    """The body as it is to be read under the rules."""
    if may_overflow(delivery.body) and not numbers_in_range(value):
        return NUMBER_OUT_OF_RANGE
    if not isinstance(value, dict):
        return _NO_OBJECT
    compat = rules.compat_at(delivery.stored_at) and "envelope_version" not in value
    return _adapted(delivery, contract, value) if compat else _Reading(delivery, contract, value)


def refused_unread(delivery: Delivery, contract: Contract | None, rules: GateRules, why: Problem) -> Refused:
    """*why*, under the ids that the body gives itself where it can be read: nobody vouches for them, as for
    those of any refused message, but by them it is found again."""
    try:
        reading = _reading(delivery, read(delivery.body), contract, rules)
    except Refusal as refusal:
        reading = refusal.problem
    if isinstance(reading, Problem):
        return Refused(why, _kind_of(contract), None, None, delivery)
    return _refuse(reading, why)


def _adapted(delivery: Delivery, contract: Contract | None, value: JsonObject) -> _Reading:
    """Compat mode: without a version it is version 1; without any field of an envelope it is the payload itself."""
    if not ENVELOPE_FIELDS.isdisjoint(value):
        return _Reading(delivery, contract, {"envelope_version": 1, **value}, adapted=True)
    envelope: JsonObject = {
        "envelope_version": 1,
        "schema_version": _fitting_version(contract, value) if contract else "1.0",
        "created_at": format_micros(delivery.stored_at),
        "payload": value,
    }
    key = _Reading(delivery, contract, envelope).message_id
    # No randomness here: a redelivery must be traced under the same id.
    envelope["trace_id"] = str(uuid5(NAMESPACE_OID, f"{_kind_of(contract)} {key}"))
    return _Reading(delivery, contract, envelope, adapted=True)


def _fitting_version(contract: Contract, payload: JsonObject) -> str:
    """The oldest schema that fits a bare payload; where none does, the one it comes nearest to, the newer of two."""
    violations: dict[str, int] = {}
    for version, versioned in contract.schemas.items():
        try:
            versioned.schema.model.model_validate(payload)
        except ValidationError as error:
            violations[version] = error.error_count()
        else:
            return version
    fewest = min(violations.values())
    return [version for version, count in violations.items() if count == fewest][-1]


def _prove(reading: _Reading) -> tuple[Proven1 | Proven2 | None, list[Detail]]:
    """The envelope as a model, or what is wrong with it; neither where only the schema version is unknown."""
    versioned = reading.versioned
    if versioned is None:
        return None, _envelope_details(reading)
    prove: Callable[[JsonValue], Proven1 | Proven2] = versioned.prove_1 if reading.version == 1 else versioned.prove_2
    model: type[Proven1 | Proven2] = versioned.envelope_1 if reading.version == 1 else versioned.envelope_2
    try:
        return prove(reading.envelope), []
    except ValidationError as error:
        return None, first_details(error, reading.envelope, prove, model)


def _envelope_details(reading: _Reading) -> list[Detail]:
    """What is wrong with the envelope, around a payload that is not looked into."""
    model = Envelope1 if reading.version == 1 else Envelope2
    try:
        model.model_validate(reading.envelope)
    except ValidationError as error:
        violations = first_details(error, reading.envelope, model.model_validate, model)
    else:
        violations = []
    return [*violations, *_kind_details(reading)]


def _kind_details(reading: _Reading) -> Iterator[Detail]:
    """What the model of a known schema says of the kind, where no such model is used."""
    if reading.contract is None:
        yield Detail("kind", "unknown_kind", "The subject should name a known kind")
    elif reading.version != 1:
        named = _valid(_MESSAGE_ID, reading.envelope.get("kind"))
        if named is not None and named != reading.kind:
            yield Detail("kind", "literal_error", f"Input should be '{reading.kind}'")


def _beside_the_body(reading: _Reading, rules: GateRules) -> Iterator[Detail]:
    receipt = receipt_subject(reading.delivery.headers, rules)
    if isinstance(receipt, Problem):
        yield from receipt.details
    header = reading.delivery.headers.get(MESSAGE_ID_HEADER)
    if reading.version == 1 and header is not None and _valid(_MESSAGE_ID, header) is None:
        yield Detail(
            f"headers.{MESSAGE_ID_HEADER}",
            "message_id",
            "Header should have 1 to 200 characters of A-Z a-z 0-9 . _ : -",
        )


def _with_nuls(reading: _Reading, violations: list[Detail], *, within_payload: bool = True) -> list[Detail]:
    """U+0000 is one violation with a code of its own, whatever other rule of the field it breaks."""
    if b"\\u0000" not in reading.delivery.body:
        return violations
    # Which fields of a payload may hold it is a matter of its schema: an unknown one has none.
    data: set[tuple[str, ...]] = {("payload",)}
    if reading.versioned is not None and within_payload:
        data = {("payload", name) for name in reading.versioned.schema.model.may_hold_nul}
    nuls = dict.fromkeys(dotted(path) for path in islice(_nuls(reading.envelope, (), data), MAX_DETAILS + 1))
    return [detail for detail in violations if detail.path not in nuls] + [
        Detail(path, "null_character", "U+0000 is not allowed here") for path in nuls
    ]


def _nuls(value: JsonValue, path: tuple[str | int, ...], data: set[tuple[str, ...]]) -> Iterator[tuple[str | int, ...]]:
    """The paths of strings and keys that hold U+0000, outside the fields in which it is data."""
    if path in data:
        return
    if isinstance(value, str):
        if _NUL in value:
            yield path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nuls(item, (*path, index), data)
    elif isinstance(value, dict):
        for key, item in value.items():
            if _NUL in key:
                yield (*path, key)
            yield from _nuls(item, (*path, key), data)


def _accept(reading: _Reading, proven: Proven1 | Proven2) -> Judged:
    adapt = reading.versioned.schema.adapt if reading.versioned else None
    return Accepted(
        kind=reading.kind,
        message_id=proven.message_id if isinstance(proven, Proven2) else reading.key_1,
        trace_id=proven.trace_id,
        created_at=proven.created_at,
        producer=proven.producer if isinstance(proven, Proven2) else UNKNOWN_PRODUCER,
        payload_hash=reading.payload_hash,
        payload=proven.payload if adapt is None else adapt(proven.payload),
        schema_version=proven.schema_version,
        envelope_version=proven.envelope_version,
        adapted=reading.adapted,
        delivery=reading.delivery,
    )


def _refuse(reading: _Reading, why: Problem) -> Refused:
    return Refused(
        why.traced(trace_of(reading.envelope)), reading.kind, reading.message_id, reading.producer, reading.delivery
    )


def trace_of(envelope: JsonObject) -> str | None:
    """The message's own trace id, where it is a valid one."""
    return _valid(_TRACE_ID, envelope.get("trace_id"))


def is_producer(text: str) -> bool:
    """Whether a text could name a producer."""
    return _valid(_PRODUCER, text) is not None


def version_problem(envelope: JsonObject) -> Problem:
    """Why an envelope whose version is not one of ours cannot be read."""
    version = envelope.get("envelope_version")
    if type(version) is int:
        return _unsupported("envelope_version", "envelope", list(ENVELOPE_VERSIONS))
    if "envelope_version" not in envelope:
        return invalid_field("envelope_version", "missing", "Field required")
    return invalid_field("envelope_version", "int_type", "Input should be a valid integer")


def _unsupported_schema(reading: _Reading) -> Problem:
    return _unsupported("schema_version", "schema", list(reading.contract.versions if reading.contract else ()))


def _unsupported(path: str, what: str, supported: list[JsonValue]) -> Problem:
    sentence = f"the {what} version is not supported"
    detail = Detail(path, "unsupported_version", sentence.capitalize(), {"supported": supported})
    return problem(ErrorCode.UNSUPPORTED_CONTRACT_VERSION, sentence, [detail])


def _kind_of(contract: Contract | None) -> str:
    return contract.kind if contract else UNKNOWN_KIND


def _valid(rule: TypeAdapter[str], value: object) -> str | None:
    try:
        return rule.validate_python(value)
    except ValidationError:
        return None


_MESSAGE_ID: Final[TypeAdapter[str]] = TypeAdapter(MessageId)
_PRODUCER: Final[TypeAdapter[str]] = TypeAdapter(Producer)
_TRACE_ID: Final[TypeAdapter[str]] = TypeAdapter(TraceId)
_NO_OBJECT: Final = invalid_field("", "object_type", "The body should be a JSON object")
