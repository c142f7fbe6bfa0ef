"""Messages as the protocol writes them, and many of them by one write.

The client's own ``publish`` makes the text of each message by itself and hands it over by itself, which costs several
times as much.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.errors import ConnectionClosedError, ConnectionDrainingError, OutboundBufferLimitError

_WRITE_BYTES: Final = 256 * 1024
"""Of small messages, this much is written together; a large one is not copied for that."""
_FRAME: Final = len(b"NATS/1.0\r\n\r\n")


class Encoded(NamedTuple):
    """A message: its subject, its header lines, each with its end, and its body; ``size`` is how much of the server's
    ``max_payload`` it takes."""

    subject: bytes
    headers: bytes
    body: bytes
    size: int


def encoded(subject: bytes, headers: bytes, body: bytes) -> Encoded:
    return Encoded(subject, headers, body, _FRAME + len(headers) + len(body))


def publication(message: Encoded, reply_to: str = "", more_headers: bytes = b"") -> bytes:
    """The command that publishes *message*, with header lines beside its own."""
    subject, headers, body, size = message
    size += len(more_headers)
    return b"HPUB %b %b %d %d\r\nNATS/1.0\r\n%b%b\r\n%b\r\n" % (
        subject,
        reply_to.encode(),
        size - len(body),
        size,
        headers,
        more_headers,
        body,
    )


def answer(subject: str, body: bytes) -> bytes:
    """The command that publishes *body*, without headers, to a subject that is known to be one."""
    return b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(body), body)


def acknowledgement(reply_to: str) -> bytes:
    """The command that publishes nothing to *reply_to*."""
    return b"PUB %b 0\r\n\r\n" % reply_to.encode()


async def write_together(client: Client, commands: Sequence[bytes]) -> None:
    """Hand *commands*, which publish one message each, to the connection. Raises as the client's ``publish`` does, and
    then none of them has been sent."""
    size = sum(map(len, commands))
    if client.is_closed:
        raise ConnectionClosedError
    if client.is_draining_pubs:
        raise ConnectionDrainingError
    if not client.is_connected and client._pending_data_size + size > client._max_pending_size:  # noqa: SLF001
        raise OutboundBufferLimitError
    client.stats["out_msgs"] += len(commands)
    client.stats["out_bytes"] += size
    for part in _parts(commands):
        await client._send_command(part)  # noqa: SLF001 - there is no public way for many at once
    if client._flush_queue is not None and client._flush_queue.empty():  # noqa: SLF001
        await client._flush_pending()  # noqa: SLF001


def order_pings(client: Client) -> None:
    """Let a ping of *client* follow what was to be written before it, so that its answer tells that the server has all
    of it. The library's own overtakes what waits for its flushing task: a flush came back before the messages had gone
    out, and a subscription that was drained lost what still came until the server heard of its end."""
    ping = client._send_ping  # noqa: SLF001 - the one place through which every flush goes

    async def send_ping(future: asyncio.Future[Any] | None = None) -> None:
        transport = client._transport  # noqa: SLF001 - as the library's flushing task does it
        if transport is not None and client.is_connected and client._pending_data_size > 0:  # noqa: SLF001
            transport.writelines(client._pending[:])  # noqa: SLF001
            client._pending, client._pending_data_size = [], 0  # noqa: SLF001
        await ping(future)

    client._send_ping = send_ping  # type: ignore[method-assign]  # noqa: SLF001 - there is no public way


def _parts(commands: Sequence[bytes]) -> Iterator[bytes]:
    part: list[bytes] = []
    size = 0
    for command in commands:
        if part and size + len(command) > _WRITE_BYTES:
            yield b"".join(part)
            part, size = [], 0
        part.append(command)
        size += len(command)
    if part:
        yield part[0] if len(part) == 1 else b"".join(part)
