"""The canonical form: sorted keys, no spaces, UTF-8; what two spellings of one payload have in common."""

import hashlib

import orjson

from contracts.errors import JsonValue


def canonical_bytes(value: JsonValue) -> bytes:
    """Integers exact, other numbers in the shortest form that reads back the same.

    Raises ``TypeError`` for an integer beyond 64 bits. An infinity would be written as null: it must have been refused
    before (:func:`contracts.json_strict.numbers_in_range`).
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def payload_hash(value: JsonValue) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
