"""A client that goes on reading whatever bytes a producer sent.

Servers take any bytes but blanks and line ends in subjects, and any bytes at all in headers. The client library decodes
both strictly, inside its reading task: one message whose subject is not UTF-8 ends that task without a word, the
connection counts as there and nothing arrives any more; one with a vertical tab ends the connection, at each delivery
anew. What cannot be decoded reads here as U+FFFD (and is refused by the gate, as no kind of ours is named so), and
headers that cannot be read at all count as none.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.protocol import parser

Headers = dict[str, str] | None

LISTED: Final = "webhook-signature"
"""The header whose lines are parts of one list; of any other header the last line counts."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_PLAIN: Final = b"NATS/1.0\r\n"
_MOST_KNOWN: Final = 64

log = structlog.get_logger(__name__)

# As the server separates the words of its protocol: by blanks and tabs alone.
_WORD: Final = rb"[ \t]+([^ \t\r\n]+)"
_REPLY: Final = rb"[ \t]+(([^ \t\r\n]+)[ \t]+)?"
_MSG: Final = re.compile(rb"\AMSG" + _WORD + _WORD + _REPLY + rb"(\d+)\r\n")
_HMSG: Final = re.compile(rb"\AHMSG" + _WORD + _WORD + _REPLY + rb"(\d+)[ \t]+(\d+)\r\n")


def read_any_bytes(client: Client) -> None:
    """Let *client* survive every message that a server can hand it. To be called before it subscribes to anything."""
    parser.MSG_RE, parser.HMSG_RE = _MSG, _HMSG
    # The library has no public way to decode otherwise.
    client._build_message = _message_builder(client)  # type: ignore[method-assign,assignment]  # noqa: SLF001 - the client has no other place for it
    client._process_headers = _header_reader(client._process_headers)  # type: ignore[method-assign,assignment]  # noqa: SLF001 - the client has no other place for it


def _message_builder(client: Client) -> Callable[[int, bytes, bytes, bytes, Headers], Msg]:
    make = client.msg_class

    def build(sid: int, subject: bytes, reply: bytes, data: bytes, headers: Headers) -> Msg:
        return make(
            subject=subject.decode(errors="replace"),
            reply=reply.decode(errors="replace"),
            data=data,
            headers=headers,
            _client=client,
            _sid=sid,
        )

    return build


def _header_reader(read: Callable[[bytes], Awaitable[Headers]]) -> Callable[[bytes | None], Awaitable[Headers]]:
    async def read_headers(block: bytes | None) -> Headers:
        if not block:
            return None
        if block.startswith(_PLAIN):
            return with_listed(_plain_headers(block), block) or None
        try:
            headers = await read(block)
        except (ValueError, LookupError) as error:
            log.warning("unreadable_headers", reason=type(error).__name__)
            return None
        if headers is not None and "Status" in headers:
            # The library names what a status line says by members of an enumeration, which are no plain text.
            return {"".join(name): value for name, value in headers.items()}
        return headers if headers is None else with_listed(headers, block)

    return read_headers


def _plain_headers(block: bytes) -> dict[str, str]:
    """As the client library reads a block without a status, at a third of the cost: every message has one or two."""
    headers: dict[str, str] = {}
    for line in block[len(_PLAIN) :].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon and (key := _known_name(name) if len(name) <= _MOST_KNOWN else _name(name)) is not None:
            headers[key] = value.strip().decode("utf-8", "replace")
    return headers


class UnreadHeaders(Mapping[str, str]):
    """A plain block of headers, read when one of them is asked for that it may hold: few messages have any of ours."""

    __slots__ = ("_block", "_read")

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._read: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        if not self._may_hold(name):
            raise KeyError(name)
        return self._headers()[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._may_hold(name) and name in self._headers()

    def get(self, name: str, default: Any = None) -> Any:
        """As of every mapping; that of ``Mapping`` would raise and catch an error for each that is not here."""
        return self._headers().get(name, default) if self._may_hold(name) else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers())

    def __len__(self) -> int:
        return len(self._headers())

    def _may_hold(self, name: str) -> bool:
        return self._read is not None or name == LISTED or name.encode(errors="replace") in self._block

    def _headers(self) -> dict[str, str]:
        if self._read is None:
            self._read = with_listed(_plain_headers(self._block), self._block)
        return self._read


def headers_of(block: bytes) -> Mapping[str, str] | None:
    """The headers in a block without a status; None for any other."""
    if not block:
        return NO_HEADERS
    return UnreadHeaders(block) if block.startswith(_PLAIN) else None


def _name(name: bytes) -> str | None:
    """A header's name; None for one that is none."""
    stripped = name.strip()
    if not stripped.isascii() or len(stripped.split()) > 1:
        return None
    text = stripped.decode("ascii")
    return None if any(character.isspace() for character in text) else text


_known_name: Final = lru_cache(maxsize=256)(_name)


def with_listed(headers: dict[str, str], block: bytes) -> dict[str, str]:
    """*headers* as the client library read them from *block*, with all lines of :data:`LISTED` under its name."""
    listed = LISTED.encode()
    if block.lower().count(b"\n" + listed) <= 1:
        return headers
    lines = [line.partition(b":") for line in block.split(b"\r\n")]
    values = [value.strip().decode(errors="replace") for name, _, value in lines if name.strip().lower() == listed]
    others = {name: value for name, value in headers.items() if name.lower() != LISTED}
    return {**others, LISTED: " ".join(values)}
