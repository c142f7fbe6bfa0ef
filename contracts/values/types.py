"""The field types that payloads and envelopes are made of.

Each is an ``Annotated`` type for pydantic models: refusals carry pydantic's own codes where it has a fitting one, and
no message repeats the value. What is checked often is checked in Rust; instants and money are read by one Python call
each, which is cheaper than the library's datetime or decimal followed by a conversion.
"""

from typing import Annotated, Final, TypeAlias

from pydantic import Field, GetPydanticSchema, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from contracts.errors import JsonObject, JsonValue
from contracts.gate import canonical, json_strict
from contracts.values.money import MAX_DOLLARS, MONEY_PATTERN, NotMoney, parse_usd
from contracts.values.times import NotAnInstant, OffsetMissing, parse_micros

MAX_COUNT: Final = 2**53 - 1
MAX_DATA_BYTES: Final = 16 * 1024
MAX_TEXT_BYTES: Final = 64 * 1024

MESSAGE_ID_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,200}$"
IDENTIFIER_PATTERN: Final = r"^[A-Za-z0-9_:-]+(?:\.[A-Za-z0-9_:-]+)*$"
UUID_PATTERN: Final = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
SCHEMA_VERSION_PATTERN: Final = r"^(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})$"
RFC3339_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"
)
_PRINTABLE: Final = r"^[^\p{C}\p{Zl}\p{Zp}]+$"
# JSON Schema's regular expressions are read by engines that do not all know Unicode categories: the schema names the
# control, format, private-use and separator characters of the basic plane; the gate also refuses unassigned ones.
_PRINTABLE_IN_SCHEMA: Final = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\ue000-\uf8ff\ufeff\ufff0-\ufffb\ufffe\uffff]+$"
)


def _timestamp(value: object) -> int:
    if type(value) is not str:
        raise PydanticKnownError("string_type")
    try:
        return parse_micros(value)
    except OffsetMissing:
        raise PydanticKnownError("timezone_aware") from None
    except NotAnInstant:
        raise PydanticCustomError("datetime_parsing", "Input should be an RFC 3339 date and time with offset") from None


def _money(value: object) -> int:
    if type(value) is not str:
        raise PydanticKnownError("string_type")
    try:
        return parse_usd(value)
    except NotMoney:
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": MONEY_PATTERN}) from None


def within_json_limits(value: JsonValue, most_bytes: int) -> bool:
    """Whether the canonical form of *value* has at most *most_bytes*; its size first, for its numbers may be many.

    Raises pydantic's ``finite_number`` for a number out of range.
    """
    try:
        size = len(canonical.canonical_bytes(value))
    except TypeError:
        raise PydanticKnownError("finite_number") from None
    if size > most_bytes:
        return False
    if not json_strict.numbers_in_range(value):
        raise PydanticKnownError("finite_number")
    return True


def _data(value: object) -> JsonObject:
    if type(value) is not dict:
        raise PydanticKnownError("dict_type")
    if not within_json_limits(value, MAX_DATA_BYTES):
        raise PydanticCustomError("data_too_long", "Data should have at most 16384 bytes in canonical form")
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise PydanticKnownError("string_type")
    if len(value) * 4 > MAX_TEXT_BYTES and len(value.encode()) > MAX_TEXT_BYTES:
        raise PydanticCustomError("text_too_long", "Text should have at most 65536 bytes in UTF-8")
    return value


def _uuid(_source: object, _handler: object) -> core_schema.CoreSchema:
    text = core_schema.str_schema(strict=True, pattern=UUID_PATTERN, to_lower=True)
    return core_schema.chain_schema(
        [
            core_schema.str_schema(strict=True),
            core_schema.custom_error_schema(
                text, "uuid_parsing", custom_error_context={"error": "32 hexadecimal digits with hyphens are expected"}
            ),
        ]
    )


MessageId: TypeAlias = Annotated[str, StringConstraints(strict=True, pattern=MESSAGE_ID_PATTERN)]
"""1 to 200 characters of ``A-Z a-z 0-9 . _ : -``, dots anywhere."""

Identifier: TypeAlias = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=IDENTIFIER_PATTERN)
]
"""An id that becomes part of a subject: as a message id, without a dot at either end or two in a row."""

Producer: TypeAlias = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=100, pattern=_PRINTABLE),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 100, "pattern": _PRINTABLE_IN_SCHEMA}),
]
"""1 to 100 printable characters."""

Name: TypeAlias = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=200, pattern=_PRINTABLE),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200, "pattern": _PRINTABLE_IN_SCHEMA}),
]
"""1 to 200 printable characters: a model, a price list's version."""

TraceId: TypeAlias = Annotated[
    str,
    GetPydanticSchema(_uuid),
    WithJsonSchema({"type": "string", "format": "uuid", "pattern": UUID_PATTERN}),
]
"""A UUID in its 36-character form; kept in lower case."""

SchemaVersion: TypeAlias = Annotated[str, StringConstraints(strict=True, pattern=SCHEMA_VERSION_PATTERN)]
"""``MAJOR.MINOR`` without leading zeros."""

Timestamp: TypeAlias = Annotated[
    int,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_timestamp)),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": RFC3339_PATTERN}),
]
"""RFC 3339 text with an offset outside, microseconds since the epoch inside."""

Money: TypeAlias = Annotated[
    int,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_money)),
    WithJsonSchema({"type": "string", "pattern": MONEY_PATTERN}),
]
"""A decimal string in USD outside, micro-dollars inside."""

DollarNumber: TypeAlias = Annotated[float, Field(strict=True, ge=0, lt=MAX_DOLLARS, allow_inf_nan=False)]
"""The JSON number of dollars that old schemas have."""

Flag: TypeAlias = Annotated[bool, Field(strict=True)]
"""``true`` or ``false``, nothing that equals one of them."""

Rate: TypeAlias = Annotated[float, Field(strict=True, gt=0, le=100_000, allow_inf_nan=False)]
"""How many a second: a JSON number, nothing that can be read as one."""

Ratio: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
"""A share from 0 to 1: a JSON number."""

Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MAX_COUNT)]
"""Tokens, durations: an integer from 0 to 2^53 - 1."""

Data: TypeAlias = Annotated[
    JsonObject,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_data)),
    WithJsonSchema({"type": "object", "description": "At most 16384 bytes in canonical form."}),
]
"""Any JSON object of at most 16 KiB in canonical form; numbers finite, integers within 64 bits."""

Text: TypeAlias = Annotated[
    str,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_text)),
    WithJsonSchema({"type": "string", "maxLength": MAX_TEXT_BYTES, "description": "At most 65536 bytes in UTF-8."}),
]
"""Free text of at most 64 KiB in UTF-8."""
