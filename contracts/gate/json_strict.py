"""JSON as RFC 8259 has it and nothing beside: what parsers read differently is refused, never interpreted.

``jiter`` refuses NaN and Infinity, duplicate keys, a byte order mark, invalid UTF-8, lone surrogates and control
characters. It lets through one level of nesting too many, numbers that overflow to infinity, and integers of up to
4,300 digits; these are looked for here. Messages are our own sentences: the library's repeat keys and may change.
"""

import re
from math import isfinite
from typing import Final, cast

import jiter
import orjson

from contracts.errors import JsonValue, Problem, Refusal, invalid_field

MAX_DEPTH: Final = 200
_SPACED: Final = b'": '
# No JSON value: what the quick way answers where it cannot vouch for a body.
_NOT_PROVEN: Final = cast(JsonValue, object())
# A number of fewer digits and without an exponent is finite and fits 64 bits.
_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}|[0-9][eE]")
_LEAST_INTEGER: Final = -(2**63)
_GREATEST_INTEGER: Final = 2**64 - 1


def parse(body: bytes) -> JsonValue:
    """Read a body; raises :class:`Refusal` (``VALIDATION_ERROR`` at the empty path) for whatever is not strict JSON."""
    value = read(body)
    if may_overflow(body) and not numbers_in_range(value):
        raise Refusal(NUMBER_OUT_OF_RANGE)
    return value


def read(body: bytes) -> JsonValue:
    """As :func:`parse`, but leaves the range of numbers to the caller.

    For models in which every number is typed a walk over the whole value would only repeat their checks.
    """
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        return _read_nested(body)
    value = _read_compact(body)
    return _parse(body, body) if value is _NOT_PROVEN else value


def _read_compact(body: bytes) -> JsonValue:
    """The quick way: a body that is its own serialization needs no further proof.

    A duplicate key, a number out of range, a byte order mark or anything else that a parser might pass over would be
    missing or different in what is written again. Bodies with white space and the like are read the other way.
    """
    if _SPACED in body:
        return _NOT_PROVEN
    try:
        value = cast(JsonValue, orjson.loads(body))
    except orjson.JSONDecodeError:
        return _NOT_PROVEN
    return value if orjson.dumps(value) == body else _NOT_PROVEN


def may_overflow(body: bytes) -> bool:
    """Whether a body can hold a number out of range; false spares the look at each of its values."""
    return _LONG_NUMBER.search(body) is not None


def numbers_in_range(value: JsonValue) -> bool:
    """Whether every number in the value is finite and every integer fits 64 bits, signed or unsigned."""
    kind = type(value)
    if kind is float:
        return isfinite(cast(float, value))
    if kind is int:
        return _LEAST_INTEGER <= cast(int, value) <= _GREATEST_INTEGER
    if kind is dict:
        return all(map(numbers_in_range, cast("dict[str, JsonValue]", value).values()))
    if kind is list:
        return all(map(numbers_in_range, cast("list[JsonValue]", value)))
    return True


def _read_nested(body: bytes) -> JsonValue:
    """The value of a body with many brackets: read one level further in, the parser ends where ours does."""
    wrapped = _parse(b"[" + body + b"]", body)
    if type(wrapped) is not list or len(wrapped) != 1:
        raise Refusal(_NOT_JSON)  # two values with a comma between them, or none
    return wrapped[0]


def _parse(text: bytes, body: bytes) -> JsonValue:
    try:
        return cast(JsonValue, jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True))
    except ValueError as error:
        raise Refusal(_reason(body, str(error))) from None


def _reason(body: bytes, complaint: str) -> Problem:
    try:
        body.decode()
    except UnicodeDecodeError:
        return _NOT_UTF8
    for beginning, refused in _COMPLAINTS:
        if complaint.startswith(beginning):
            return refused
    return _NOT_JSON


_NOT_JSON: Final = invalid_field("", "json_invalid", "The body should be one JSON value as in RFC 8259")
_NOT_UTF8: Final = invalid_field("", "not_utf8", "The body should be UTF-8")
_DUPLICATE_KEY: Final = invalid_field("", "duplicate_key", "An object should not have the same key twice")
_TOO_DEEP: Final = invalid_field("", "too_deep", "The body should not be nested deeper than 200 levels")
NUMBER_OUT_OF_RANGE: Final = invalid_field(
    "", "number_out_of_range", "Numbers should be finite, and integers should fit 64 bits"
)
# How jiter's sentences begin: further on they may repeat a key of the body.
_COMPLAINTS: Final = (
    ("Detected duplicate key ", _DUPLICATE_KEY),
    ("recursion limit exceeded at ", _TOO_DEEP),
    ("number out of range at ", NUMBER_OUT_OF_RANGE),
)
