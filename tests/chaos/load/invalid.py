"""What the producers say that is not in order, and with which code each must be refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.chaos.load.messages import (
    RECEIPT_HEADER,
    Author,
    Json,
    Message,
    encoded,
    envelope,
    fresh,
    subject_of,
)

_INVALID: Final = "VALIDATION_ERROR"
_UNSUPPORTED: Final = "UNSUPPORTED_CONTRACT_VERSION"
_TOO_LARGE: Final = "PAYLOAD_TOO_LARGE"
_BODY_LIMIT: Final = 256 * 1024

Spoil: TypeAlias = Callable[[Json], object]
"""Makes something else of a valid envelope: a JSON value."""

Garble: TypeAlias = Callable[[bytes], bytes]
"""Makes other bytes of a valid body."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be wrong: in what is said (*spoil*), or in how it is written (*garble*)."""

    name: str
    code: str = _INVALID
    spoil: Spoil = lambda written: written
    garble: Garble = lambda body: body
    weight: int = 4


def _with(**changed: object) -> Spoil:
    return lambda written: {**written, **changed}


def _payload_with(**changed: object) -> Spoil:
    def spoil(written: Json) -> object:
        payload = written["payload"]
        assert isinstance(payload, dict)
        return {**written, "payload": {**payload, **changed}}

    return spoil


def _without(name: str) -> Spoil:
    return lambda written: {key: value for key, value in written.items() if key != name}


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


FAULTS: Final = (
    Fault("cut off", garble=lambda body: body[: len(body) // 2]),
    Fault("no JSON", garble=lambda body: b"<xml>" + body[:40]),
    Fault("empty", garble=lambda _: b""),
    Fault("not UTF-8", garble=lambda body: body.replace(b'"producer"', b'"producer\xff"')),
    Fault("byte order mark", garble=lambda body: b"\xef\xbb\xbf" + body),
    Fault("lone surrogate", garble=lambda body: body.replace(b'"producer": "', b'"producer": "\\ud800')),
    Fault("same key twice", garble=lambda body: body[:-1] + b', "producer": "another"}'),
    Fault("not a number", garble=lambda body: body.replace(b'"envelope_version": 2', b'"envelope_version": NaN')),
    Fault("no object", spoil=lambda written: [written]),
    Fault("too deep", spoil=_payload_with(data=_nested(300))),
    Fault("beyond 64 bits", spoil=_payload_with(input_tokens=2**70)),
    Fault("no envelope version", spoil=_without("envelope_version")),
    Fault("no message id", spoil=_without("message_id")),
    Fault("no payload", spoil=_without("payload")),
    Fault("unknown field", spoil=_with(priority="high")),
    Fault("unknown field inside", spoil=_payload_with(priority="high")),
    Fault("another kind", spoil=_with(kind="session.other")),
    Fault("time without offset", spoil=_with(created_at="2026-11-20T10:15:30")),
    Fault("bad trace id", spoil=_with(trace_id="trace-1")),
    Fault("bad message id", spoil=_with(message_id="with blank")),
    Fault("no such type", spoil=_payload_with(session_id=17)),
    Fault("U+0000 in an id", spoil=_payload_with(session_id="a\0b")),
    Fault("id with a newline", spoil=_payload_with(session_id="session\n")),
    Fault("envelope version 3", _UNSUPPORTED, _with(envelope_version=3)),
    Fault("schema version 9.9", _UNSUPPORTED, _with(schema_version="9.9")),
    Fault("too large", _TOO_LARGE, _payload_with(text="x" * _BODY_LIMIT), weight=1),
)


def invalid(author: Author) -> Message:
    """A message that must be refused, whenever and however often it is delivered."""
    if author.chance.random() < 0.05:
        return _of_unknown_kind(author)
    if author.chance.random() < 0.05:
        return _with_forbidden_receipt(author)
    (fault,) = author.chance.choices(FAULTS, [fault.weight for fault in FAULTS])
    written = envelope(fresh(author), author)
    body = fault.garble(encoded(fault.spoil(written)))
    return Message(fault.name, subject_of(str(written["kind"])), body, fault.code)


def _of_unknown_kind(author: Author) -> Message:
    written = {**envelope(fresh(author), author), "kind": "session.unheard"}
    return Message("unknown kind", subject_of("session.unheard"), encoded(written), _INVALID)


def _with_forbidden_receipt(author: Author) -> Message:
    written = envelope(fresh(author), author)
    headers = {RECEIPT_HEADER: "hg.ingest.session.usage"}
    return Message(
        "forbidden receipt",
        subject_of(str(written["kind"])),
        encoded(written),
        _INVALID,
        headers=headers,
        may_have_receipt=False,
    )
