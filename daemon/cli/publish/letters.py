"""What goes out for a record: an envelope as it stands in the file, or one that is made around a bare payload."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from adapters.record_files import Record
from contracts.envelope import CURRENT_ENVELOPE
from contracts.errors import JsonValue
from contracts.gate.canonical import payload_hash
from contracts.registry import REGISTRY
from contracts.values.times import format_micros

_ID_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
_LONGEST_ID: Final = 200


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to be: its kind (of the subject), its bytes, and where it comes from.

    ``names_itself``: the envelope carries its message id. One of version 1 does not; there the daemon takes the
    ``Nats-Msg-Id`` header for it, and without the header the payload's hash, so that it must not get a header of ours.
    """

    place: str
    kind: str
    body: bytes
    names_itself: bool


class Unaddressable(Exception):
    """The record cannot be published; the message says why, in words that repeat nothing of it."""


Open: TypeAlias = Callable[[Record], Letter]
"""Makes a letter of a record. Raises :class:`Unaddressable`."""


def enveloped(kind: str | None) -> Open:
    """For records that are envelopes: published as they are, to *kind* or else to the kind that they name."""

    def letter(record: Record) -> Letter:
        value = record.value
        if not isinstance(value, dict):
            raise Unaddressable("not a JSON object")
        named = value.get("kind")
        addressed = kind or (named if isinstance(named, str) else None)
        if addressed is None:
            raise Unaddressable(_what_is_missing(value))
        current = value.get("envelope_version") == CURRENT_ENVELOPE
        return Letter(record.place, addressed, record.body, names_itself=current)

    return letter


def _what_is_missing(value: dict[str, JsonValue]) -> str:
    if value.get("envelope_version") == 1:
        return "an envelope of version 1 names no kind: say it with --kind"
    if "envelope_version" in value or "payload" in value:
        return "the envelope names no kind: say it with --kind"
    return "not an envelope: a bare payload needs --wrap KIND"


def newest_version(kind: str) -> str | None:
    """The newest schema version of an ingest kind; None where the kind is unknown."""
    known = REGISTRY.contract(kind)
    return known.newest.version if known else None


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How bare payloads become envelopes of version 2.

    The message id is the payload's field ``id_field`` where one is named; else the record's place (``by_line``) or the
    payload's hash. All three are the same when the same file is published again.
    """

    kind: str
    schema_version: str
    producer: str
    id_field: str | None = None
    by_line: bool = False

    def letter(self, record: Record) -> Letter:
        """Raises :class:`Unaddressable`."""
        if not isinstance(record.value, dict):
            raise Unaddressable("not a JSON object")
        head = {
            "envelope_version": CURRENT_ENVELOPE,
            "kind": self.kind,
            "schema_version": self.schema_version,
            "message_id": self._message_id(record, record.value),
            "trace_id": str(uuid.uuid4()),
            "created_at": format_micros(time.time_ns() // 1_000),
            "producer": self.producer,
            # As it stands in the file: numbers and repeated keys are for the gate to judge.
            "payload": orjson.Fragment(record.body),
        }
        return Letter(record.place, self.kind, orjson.dumps(head), names_itself=True)

    def _message_id(self, record: Record, payload: dict[str, JsonValue]) -> str:
        if self.id_field is not None:
            return self._from_field(payload, self.id_field)
        if self.by_line:
            readable = "".join(char if char in _ID_CHARACTERS else "_" for char in record.place)
            return readable[-_LONGEST_ID:]
        try:
            return f"sha256:{payload_hash(payload)}"
        except (TypeError, orjson.JSONEncodeError):
            raise Unaddressable("the payload has no canonical form: a number is out of range") from None

    @staticmethod
    def _from_field(payload: dict[str, JsonValue], name: str) -> str:
        value = payload.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Unaddressable(f"the field {name} of --message-id-field is no text or whole number")
        return str(value)
