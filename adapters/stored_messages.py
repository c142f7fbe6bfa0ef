"""Reading single messages out of streams: by sequence, or the last one of a subject."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from nats.aio.client import Client

from adapters.errors import JetStreamError
from adapters.jetstream_api import NOT_FOUND, Json, api_request, integer, section


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


async def last_message_of_subject(nc: Client, stream: str, subject: str) -> StoredMessage | None:
    """The newest message that the stream holds of the subject; None where it holds none.

    Raises :class:`JetStreamError` where the stream is absent or JetStream away.
    """
    return await _get(nc, stream, {"last_by_subj": subject})


async def message_at(nc: Client, stream: str, sequence: int) -> StoredMessage | None:
    """The message with the sequence; None where it is gone. Raises like :func:`last_message_of_subject`."""
    return await _get(nc, stream, {"seq": sequence})


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
    return StoredMessage(
        subject=str(found["subject"]),
        sequence=integer(found, "seq"),
        headers=_headers(_bytes(found, "hdrs")),
        body=_bytes(found, "data"),
        time=str(found["time"]),
    )


def _bytes(found: Json, key: str) -> bytes:
    return base64.b64decode(str(found.get(key) or ""))


def _headers(block: bytes) -> dict[str, str]:
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    return {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
