"""The client's parser, with a short way for the subscriptions that bring messages by the thousand.

The library makes an object of every message, puts it into a queue of its subscription and lets a task of that take it
out again: five microseconds a message, more than judging it costs. Here a subscription may have its messages handed
over as they are read, in their order, in the library's reading task. All else (other subscriptions, other lines of the
protocol) goes the library's way.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ProtocolError
from nats.protocol import parser
from nats.protocol.parser import Parser

log = structlog.get_logger(__name__)

_LINE_END: Final = b"\r\n"
_END_BYTES: Final = len(_LINE_END)


class Receiver(NamedTuple):
    """Who takes the messages of one subscription.

    ``take`` is given subject, reply subject, header block (empty for none) and body, and is false for what it does not
    know; that ``other`` gets, read by the client. What either raises is logged and ends nothing.
    """

    take: Callable[[bytes, bytes, bytes, bytes], bool]
    other: Callable[[Msg], Awaitable[None]]


class _Head(NamedTuple):
    """The line in front of a message; ``size`` is that of headers and body."""

    subject: bytes
    sid: bytes
    reply: bytes
    header_size: int
    size: int


class DirectParser(Parser):
    """Reads what the server sends, a chunk at a time."""

    def __init__(self, client: Client) -> None:
        self.receivers: dict[bytes, Receiver] = {}
        self._client = client
        self._needed = 0
        self._resets = 0
        super().__init__(client)

    def reset(self) -> None:
        """Begin anew, on a new connection."""
        super().reset()
        self._needed = 0
        self._resets += 1

    async def parse(self, data: bytes = b"") -> None:
        """Hand over every message that is complete, and keep the beginning of the next one."""
        if self.buf:
            self.buf.extend(data)
            if len(self.buf) < self._needed:
                return
            data = bytes(self.buf)
        self.buf = bytearray()
        self._needed = 0
        resets, at = self._resets, 0
        while (line_end := data.find(_LINE_END, at)) >= 0:
            begin = line_end + _END_BYTES
            head = _head(data[at:line_end])
            if head is None:
                await super().parse(data[at:begin])
            elif begin + head.size + _END_BYTES > len(data):
                self._needed = begin - at + head.size + _END_BYTES
                break
            else:
                body_at, end = begin + head.header_size, begin + head.size
                await self._hand_over(head, data[begin:body_at], data[body_at:end])
                begin = end + _END_BYTES
            if self._resets != resets:
                return  # the connection was lost meanwhile: what is left here is of no use to the next one
            at = begin
        if at < len(data):
            self.buf.extend(data[at:])

    async def _hand_over(self, head: _Head, headers: bytes, body: bytes) -> None:
        client, (subject, sid, reply, _, _) = self._client, head
        receiver = self.receivers.get(sid)
        if receiver is None:
            await client._process_msg(int(sid), subject, reply, body, headers)  # noqa: SLF001 - as the library's parser does
            return
        client.stats["in_msgs"] += 1
        client.stats["in_bytes"] += len(body)
        try:
            if not receiver.take(subject, reply, headers, body):
                read = await client._process_headers(headers)  # noqa: SLF001
                await receiver.other(client._build_message(int(sid), subject, reply, body, read))  # noqa: SLF001
        except Exception:  # an error that left here would end the reading task, and with it all that arrives
            log.exception("message_not_received")


def _head(line: bytes) -> _Head | None:
    """None for what is no message. Raises ``ProtocolError`` for one that says nonsense."""
    if b"\t" in line or b"  " in line:
        return _unusual_head(line)
    try:
        match line.split(b" "):
            case [b"HMSG", subject, sid, reply, header_size, size]:
                return _Head(subject, sid, reply, int(header_size), int(size))
            case [b"MSG", subject, sid, reply, size]:
                return _Head(subject, sid, reply, 0, int(size))
            case [b"HMSG", subject, sid, header_size, size]:
                return _Head(subject, sid, b"", int(header_size), int(size))
            case [b"MSG", subject, sid, size]:
                return _Head(subject, sid, b"", 0, int(size))
            case [b"MSG" | b"HMSG", *_]:
                raise ProtocolError("nats: malformed MSG")
            case _:
                return None
    except ValueError:
        raise ProtocolError("nats: malformed MSG") from None


def _unusual_head(line: bytes) -> _Head | None:
    """A line with more blanks than needed, or tabs: no server is known to write one."""
    if (found := parser.MSG_RE.match(line + _LINE_END)) is not None:
        subject, sid, _, reply, size = found.groups()
        return _Head(subject, sid, reply or b"", 0, int(size))
    if (found := parser.HMSG_RE.match(line + _LINE_END)) is not None:
        subject, sid, _, reply, header_size, size = found.groups()
        return _Head(subject, sid, reply or b"", int(header_size), int(size))
    return None


def parse_directly(client: Client) -> None:
    """Give *client* this parser. To be called before it subscribes to anything."""
    direct = DirectParser(client)
    direct.buf = client._ps.buf  # noqa: SLF001 - the client has no other place for its parser
    client._ps = direct  # noqa: SLF001


def receive_directly(client: Client, subscription: Subscription, receiver: Receiver) -> None:
    """Have *receiver* take the messages of *subscription*, where the client has this parser; else its callback does."""
    if isinstance(client._ps, DirectParser):  # noqa: SLF001
        client._ps.receivers[str(subscription._id).encode()] = receiver  # noqa: SLF001


def end_directly(client: Client, subscription: Subscription) -> None:
    """The subscription has ended."""
    if isinstance(client._ps, DirectParser):  # noqa: SLF001
        client._ps.receivers.pop(str(subscription._id).encode(), None)  # noqa: SLF001
