"""What is published, what became of it, and what can never be."""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field

from adapters.nats.wire import Encoded, encoded

# The server closes the connection of a client whose protocol line is over 4,096 bytes; the reply subject is on it too.
MAX_SUBJECT_BYTES: Final = 3000
WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
# What the message itself causes, so that sending it again can only fail again. Every other error is the stream's state
# (full, offline, sealed, without resources) or unknown to us, and a message is not given up for that.
_MESSAGE_ERRORS: Final = WRONG_LAST_SEQUENCE | {
    10054,  # larger than the stream's max_msg_size
    10060,  # expected another stream
    10070,  # expected another last message id
    10097,  # headers too large
    10165,  # invalid time to live
    10166,  # the stream allows no time to live
}

_SUBJECT = re.compile(r"[^\s.*>\x00-\x1f\x7f]+(?:\.[^\s.*>\x00-\x1f\x7f]+)*")
_HEADER_KEY = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE_BREAKS: Final = str.maketrans({"\r": " ", "\n": " "})


class Outgoing(Struct, frozen=True):
    """One message for a stream: the whole subject, prefix included. ``message_id`` becomes ``Nats-Msg-Id``; without one
    the stream cannot know a repetition, which then is for the reader to find.

    ``tried`` says that an earlier attempt may have been stored: such a message goes out alone, for one known id would
    make the server reject a whole batch. ``expected_last_subject_sequence`` 0 means that the subject must be new.
    """

    subject: str
    body: bytes
    message_id: str | None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    expected_last_subject_sequence: int | None = None
    tried: bool = False


class PublishStatus(StrEnum):
    """What became of a publish."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the stream had it already
    UNKNOWN = "unknown"  # no answer in time: perhaps stored, to be sent again with the same id
    REFUSED = "refused"  # never will be stored as it is
    UNAVAILABLE = "unavailable"  # not stored; the stream or the server cannot take it now


class Published(Struct, frozen=True):
    """The outcome of one message. ``sequence`` where it is stored (for a duplicate: where the first one is),
    ``reason`` and the server's ``err_code`` where it is not."""

    outcome: PublishStatus
    sequence: int | None = None
    reason: str = ""
    err_code: int | None = None

    @property
    def is_conflict(self) -> bool:
        """Whether the expected last sequence was not the last one."""
        return self.err_code in WRONG_LAST_SEQUENCE

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do for the message."""
        return self.outcome in (PublishStatus.STORED, PublishStatus.DUPLICATE)


def not_stored(err_code: int, reason: str) -> Published:
    """The outcome for an error that the server answered with."""
    outcome = PublishStatus.REFUSED if err_code in _MESSAGE_ERRORS else PublishStatus.UNAVAILABLE
    return Published(outcome, reason=reason, err_code=err_code)


class UnpublishableError(ValueError):
    """The message can never be published; says why."""


def encode(message: Outgoing) -> Encoded:
    """The message as it goes over the wire.

    Raises :class:`UnpublishableError` for what the server would refuse anyway, in part by closing the connection.
    """
    if not _SUBJECT.fullmatch(message.subject):
        raise UnpublishableError("the subject is malformed")
    try:
        subject = message.subject.encode()
        if len(subject) > MAX_SUBJECT_BYTES:
            raise UnpublishableError(f"the subject is longer than {MAX_SUBJECT_BYTES} bytes")
        lines = "".join([_header(key, value) for key, value in message.headers.items()])
        if message.message_id is not None:
            lines += _header("Nats-Msg-Id", message.message_id)
        if message.expected_last_subject_sequence is not None:
            lines += f"Nats-Expected-Last-Subject-Sequence: {message.expected_last_subject_sequence}\r\n"
        return encoded(subject, lines.encode(), message.body)
    except UnicodeEncodeError as error:
        raise UnpublishableError("the subject or a header is not valid Unicode") from error


def _header(key: str, value: str) -> str:
    """One line of headers, whatever the value holds."""
    if not _HEADER_KEY.fullmatch(key):
        raise UnpublishableError("a header name is malformed")
    return f"{key}: {value.strip().translate(_LINE_BREAKS) if not value.isprintable() else value.strip()}\r\n"
