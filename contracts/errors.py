"""The one error shape: receipts, command replies, dead letters and ops runs all carry it (see docs/errors.md).

A refusal is a value (:class:`Problem`). Code that cannot go on raises it wrapped in :class:`Refusal`, the only
exception that crosses layers on purpose. No detail repeats the offending value: it may be a secret, and the same bad
input must give the same bytes every time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from types import MappingProxyType
from typing import Final

from typing_extensions import TypeAliasType

MAX_DETAILS: Final = 50
"""How many violations are listed; the rest need not be found."""

JsonValue = TypeAliasType("JsonValue", "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None")
JsonObject = TypeAliasType("JsonObject", "dict[str, JsonValue]")


class ErrorCode(StrEnum):
    """Every code a caller can meet. The words are part of the contract."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    CALLBACK_SIGNATURE_INVALID = "CALLBACK_SIGNATURE_INVALID"
    FORBIDDEN = "FORBIDDEN"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    EVENT_ID_PAYLOAD_MISMATCH = "EVENT_ID_PAYLOAD_MISMATCH"
    CALLBACK_OUT_OF_ORDER = "CALLBACK_OUT_OF_ORDER"
    STALE_ATTEMPT = "STALE_ATTEMPT"
    INVALID_TRANSITION = "INVALID_TRANSITION"
    INVALID_STATE = "INVALID_STATE"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    UPLOAD_CONFLICT = "UPLOAD_CONFLICT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    UNSUPPORTED_CONTRACT_VERSION = "UNSUPPORTED_CONTRACT_VERSION"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    UNAVAILABLE = "UNAVAILABLE"


STATUS: Final[Mapping[ErrorCode, int]] = MappingProxyType(
    {
        ErrorCode.VALIDATION_ERROR: 400,
        ErrorCode.UNAUTHENTICATED: 401,
        ErrorCode.CALLBACK_SIGNATURE_INVALID: 401,
        ErrorCode.FORBIDDEN: 403,
        ErrorCode.APPROVAL_REQUIRED: 403,
        ErrorCode.RESOURCE_NOT_FOUND: 404,
        ErrorCode.IDEMPOTENCY_CONFLICT: 409,
        ErrorCode.EVENT_ID_PAYLOAD_MISMATCH: 409,
        ErrorCode.CALLBACK_OUT_OF_ORDER: 409,
        ErrorCode.STALE_ATTEMPT: 409,
        ErrorCode.INVALID_TRANSITION: 409,
        ErrorCode.INVALID_STATE: 409,
        ErrorCode.VERSION_CONFLICT: 409,
        ErrorCode.UPLOAD_CONFLICT: 409,
        ErrorCode.PAYLOAD_TOO_LARGE: 413,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
        ErrorCode.UNSUPPORTED_CONTRACT_VERSION: 422,
        ErrorCode.RATE_LIMITED: 429,
        ErrorCode.INTERNAL_ERROR: 500,
        ErrorCode.UPSTREAM_FAILED: 502,
        ErrorCode.UNAVAILABLE: 503,
    }
)


@dataclass(frozen=True, slots=True)
class Detail:
    """One violated rule: where (dotted path), which rule, and a sentence that never repeats the value."""

    path: str
    code: str
    message: str
    extra: Mapping[str, JsonValue] = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        return {"path": self.path, "code": self.code, "message": self.message, **self.extra}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something was refused. Details are sorted by path, then code."""

    code: ErrorCode
    message: str
    details: tuple[Detail, ...] = ()
    trace_id: str | None = None

    @property
    def status(self) -> int:
        return STATUS[self.code]

    def traced(self, trace_id: str | None) -> "Problem":
        """The same problem under the message's own trace id."""
        return replace(self, trace_id=trace_id)

    def as_json(self) -> JsonObject:
        return {
            "code": str(self.code),
            "status": self.status,
            "message": self.message,
            "trace_id": self.trace_id,
            "details": [detail.as_json() for detail in self.details],
        }


class Refusal(Exception):
    """Carries a :class:`Problem` out of a decision to the place that answers."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem


def problem(code: ErrorCode, message: str, details: Iterable[Detail] = ()) -> Problem:
    """Build a problem with its details in their stable order."""
    return Problem(code, message, tuple(sorted(details, key=lambda d: (d.path, d.code, d.message))))


def invalid(details: Iterable[Detail]) -> Problem:
    """A ``VALIDATION_ERROR`` that counts the fields that are wrong and tells the first violations that it is given."""
    listed = tuple(islice(details, MAX_DETAILS + 1))
    count = len({detail.path for detail in listed})
    noun = "1 field is invalid" if count == 1 else f"{count} fields are invalid"
    if count > MAX_DETAILS:
        noun = f"more than {MAX_DETAILS} fields are invalid"
    return problem(ErrorCode.VALIDATION_ERROR, noun, listed[:MAX_DETAILS])


def invalid_field(path: str, code: str, message: str) -> Problem:
    """A ``VALIDATION_ERROR`` at one place."""
    return invalid([Detail(path, code, message)])
