"""Reading single messages out of streams: by sequence, by id, or the last one of a subject."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client

from adapters.errors import JetStreamError
from adapters.nats.jetstream_api import NOT_FOUND, Json, api_request, integer, section
from adapters.nats.lenient_decoding import with_listed
from contracts.values.times import MICROS_PER_SECOND, parse_micros

_CLOCKS_APART: Final = 60 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as the stream holds it; ``subject`` is the whole one, ``time`` RFC 3339 as the server wrote it."""

    subject: str
    sequence: int
    headers: Mapping[str, str]
    body: bytes
    time: str

    @property
    def message_id(self) -> str | None:
        return self.headers.get("Nats-Msg-Id")

    @property
    def stored_at(self) -> int:
        """When the stream stored it, in microseconds since the epoch."""
        return parse_micros(self.time)


async def last_message_of_subject(nc: Client, stream: str, subject: str) -> StoredMessage | None:
    """The newest message that the stream holds of the subject; None where it holds none.

    Raises :class:`JetStreamError` where the stream is absent or JetStream away.
    """
    return await _get(nc, stream, {"last_by_subj": subject})


async def message_at(nc: Client, stream: str, sequence: int) -> StoredMessage | None:
    """The message with the sequence; None where it is gone. Raises like :func:`last_message_of_subject`."""
    return await _get(nc, stream, {"seq": sequence})


async def sequence_of_message(nc: Client, stream: str, subject: str, message_id: str, *, not_before: int) -> int | None:
    """Where the message with this ``Nats-Msg-Id`` lies; None where the stream does not hold it.

    ``not_before`` and what is raised are as of :func:`sequences_of_messages`.
    """
    return (await sequences_of_messages(nc, stream, subject, frozenset({message_id}), not_before=not_before)).get(
        message_id
    )


async def sequences_of_messages(
    nc: Client, stream: str, subject: str, message_ids: frozenset[str], *, not_before: int
) -> dict[str, int]:
    """Where the messages of *subject* with these ``Nats-Msg-Id`` lie, as far as the stream holds them.

    ``not_before`` (microseconds since the epoch) is a moment before the first of them was published: what the stream
    stored earlier is skipped by bisection, what it stored since is looked through one by one, once for all of them.
    Raises like :func:`last_message_of_subject`.
    """
    found: dict[str, int] = {}
    last = await last_message_of_subject(nc, stream, subject)
    if last is None or not message_ids:
        return found
    if last.message_id is not None and last.message_id in message_ids:
        found[last.message_id] = last.sequence
    earliest = not_before - _CLOCKS_APART
    if len(found) == len(message_ids) or last.stored_at < earliest:
        return found
    at = await _first_since(nc, stream, subject, earliest, last.sequence)
    while len(found) < len(message_ids) and at < last.sequence:
        message = await _next(nc, stream, subject, at)
        if message is None:
            break
        if message.message_id is not None and message.message_id in message_ids:
            found.setdefault(message.message_id, message.sequence)
        at = message.sequence + 1
    return found


async def _first_since(nc: Client, stream: str, subject: str, earliest: int, last: int) -> int:
    """A sequence before which the stream holds nothing of the subject that is as young as ``earliest``."""
    low, high = 1, last
    while low < high:
        middle = (low + high) // 2
        found = await _next(nc, stream, subject, middle)
        if found is None or found.stored_at >= earliest:
            high = middle
        else:
            low = found.sequence + 1
    return low


async def _next(nc: Client, stream: str, subject: str, sequence: int) -> StoredMessage | None:
    """The first message of the subject at the sequence or after it."""
    return await _get(nc, stream, {"seq": sequence, "next_by_subj": subject})


async def settled_until(nc: Client, stream: str, consumer: str) -> int | None:
    """The moment before which all that the stream stored was acknowledged by the consumer; None where that is now.

    Microseconds since the epoch. Raises like :func:`last_message_of_subject`.
    """
    info = await api_request(nc, f"CONSUMER.INFO.{stream}.{consumer}")
    if not integer(info, "num_pending") and not integer(info, "num_ack_pending"):
        return None
    floor = integer(section(info, "ack_floor"), "stream_seq")
    first = await _next(nc, stream, ">", floor + 1)
    return None if first is None else first.stored_at


async def delete_message(nc: Client, stream: str, sequence: int) -> bool:
    """Delete one message; false where it is gone already. Raises like :func:`last_message_of_subject`."""
    try:
        await api_request(nc, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
    except JetStreamError as error:
        if error.err_code in _NO_SUCH_MESSAGE:
            return False
        raise
    return True


_NO_SUCH_MESSAGE = frozenset({10037, 10043, 10057})


async def _get(nc: Client, stream: str, request: Json) -> StoredMessage | None:
    try:
        found = section(await api_request(nc, f"STREAM.MSG.GET.{stream}", request), "message")
    except JetStreamError as error:
        if error.code == NOT_FOUND and error.err_code in _NO_SUCH_MESSAGE:
            return None
        raise
    try:
        return StoredMessage(
            subject=str(found["subject"]),
            sequence=integer(found, "seq"),
            headers=_headers(_bytes(found, "hdrs")),
            body=_bytes(found, "data"),
            time=str(found["time"]),
        )
    except (KeyError, ValueError):  # seen while a cluster chose a leader: an answer without its message
        raise JetStreamError(f"STREAM.MSG.GET.{stream}", 503, 0, "the answer has no message") from None


def _bytes(found: Json, key: str) -> bytes:
    return base64.b64decode(str(found.get(key) or ""))


def _headers(block: bytes) -> dict[str, str]:
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    found = {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
    return with_listed(found, block)
