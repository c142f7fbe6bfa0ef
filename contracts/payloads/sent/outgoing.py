"""What the daemon itself says: receipts, replies, dead letters. These models are the schemas of what is sent."""

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from pydantic import ConfigDict, Field

from contracts.errors import ErrorCode, JsonObject
from contracts.payloads.base import BrokenRule, Payload, RuledPayload
from contracts.values.types import Count, Flag, MessageId, Timestamp, TraceId

Status: TypeAlias = Annotated[int, Field(strict=True, ge=200, le=599)]


class ReceiptOutcome(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class BodyEncoding(StrEnum):
    """``stored``: too large to be sent along; the database has it."""

    UTF_8 = "utf-8"
    BASE64 = "base64"
    STORED = "stored"


class ErrorDetail(Payload):
    """One violated rule; some codes carry more fields, such as ``supported`` or ``retry_after_ms``."""

    model_config = ConfigDict(extra="allow")

    path: str
    code: str
    message: str


class ErrorShape(Payload):
    """The one shape of an error, wherever it is told."""

    code: ErrorCode
    status: Status
    message: str
    trace_id: TraceId | None
    details: list[ErrorDetail]


def _error_rule(schema: JsonObject) -> None:
    """An error exactly where the status says so."""
    failed: JsonObject = {"properties": {"status": {"type": "integer", "minimum": 400}}}
    given: JsonObject = {"required": ["error"], "properties": {"error": {"not": {"type": "null"}}}}
    schema["allOf"] = [{"if": failed, "then": given, "else": {"not": given}}]


class _Answer(RuledPayload):
    """What receipts and replies have in common."""

    model_config = ConfigDict(json_schema_extra=_error_rule)

    status: Status
    error: ErrorShape | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        status = raw.get("status")
        if type(status) is not int or (status >= _FIRST_ERROR) is (raw.get("error") is not None):
            return ()
        return (_ERROR_RULE,)


_FIRST_ERROR: Final = 400
_ERROR_RULE: Final = BrokenRule(("error",), "error_by_status", "An error should be there exactly from status 400 on")


class Receipt(_Answer):
    """receipt 1.0: what became of one durable message."""

    message_id: MessageId | None
    subject: str
    stream_sequence: Count
    outcome: ReceiptOutcome


class Reply(_Answer):
    """reply 1.0: the answer to a command."""

    result: object = None
    replayed: Flag = False


class DeadLetterOrigin(Payload):
    """Where a refused message stood. Headers that are secrets read ``redacted``."""

    stream: str
    subject: str
    sequence: Count
    delivered: Count
    received_at: Timestamp
    headers: dict[str, str]


class DeadLetter(Payload):
    """dead_letter 1.0: a refused message, byte for byte, with the reason."""

    dead_letter_id: str
    error: ErrorShape
    origin: DeadLetterOrigin
    body: str | None
    body_encoding: BodyEncoding
