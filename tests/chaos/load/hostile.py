"""A producer that means harm: bodies that cost, forged replays and answers, commands of strangers, connections that
say nothing, objects of the daemon's own that vanish.

What it publishes into the streams is written down like any other message, for it must leave one dead letter each and
nothing else. Whatever else it does must leave nothing at all, and the daemons ready.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Final
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from contracts.gate.receipts import OWN_INBOXES
from tests.chaos.load.journal import Journal
from tests.chaos.load.messages import Message
from tests.chaos.load.producers import connected, publish

_LIMIT: Final = 250_000
_LARGE_BYTES: Final = 2 * 2**20
_MOST_LARGE: Final = 6
_SOCKETS: Final = 40
_INVALID: Final = "VALIDATION_ERROR"

HttpUrls = Callable[[], Sequence[str]]
"""Where the daemons that live now answer HTTP."""


def _enveloped(kind: str, payload: str) -> bytes:
    head = f'"envelope_version":2,"kind":"{kind}","schema_version":"1.0","message_id":"hostile","producer":"hostile"'
    return f'{{{head},"payload":{payload}}}'.encode()


def _many(atom: str) -> str:
    return "[" + ",".join([atom] * (_LIMIT // (len(atom) + 1))) + "]"


def _many_names() -> str:
    return "{" + ",".join(f'"k{number}":0' for number in range(_LIMIT // 11)) + "}"


COSTLY: Final[Sequence[tuple[str, str, Callable[[], bytes]]]] = (
    ("empty scenes", "content.script", lambda: _enveloped("content.script", f'{{"scenes":{_many("{}")}}}')),
    ("wrong hashtags", "content.schedule", lambda: _enveloped("content.schedule", f'{{"hashtags":{_many("0")}}}')),
    ("unknown names", "session.event", lambda: _enveloped("session.event", _many_names())),
    ("nested data", "session.event", lambda: _enveloped("session.event", f'{{"data":{{"x":{_many("[]")}}}}}')),
    ("many deep", "session.event", lambda: _many("[" * 190 + "]" * 190).encode()),
    ("deeper than a writer", "session.event", lambda: b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"),
    ("deeper than a reader", "session.event", lambda: b"[" * 120_000 + b"]" * 120_000),
    ("U+0000 in names", "session.event", lambda: _enveloped("session.event", '{"\\u0000":' + _many("0") + "}")),
)

_REPLIES: Final = ("hg.ingest.x", "_INBOX.nobody", "$JS.API.x")
FORGED: Final[Sequence[dict[str, str]]] = (
    {},
    {"Headgate-Dead-Letter": "a\0b", "Headgate-Replay": "1"},
    {"Headgate-Dead-Letter": "x" * 2_000, "Headgate-Replay": "1"},
    {"Headgate-Dead-Letter": "x", "Headgate-Replay": "-1"},
    {"Headgate-Dead-Letter": "x", "Headgate-Replay": "999999999"},
)
# What stands where an answer of the server, or a message of a pull, is awaited: none of it is one.
NO_ANSWERS: Final = (b"", b"{", b"[]", b"{}", b'{"error":7}', b'{"seq":"7"}', b'{"status":201}', b"\xff" * 100)
NO_STATUSES: Final[Sequence[dict[str, str] | None]] = (
    None,
    {"Status": "400", "Description": "Bad Request"},
    {"Status": "409", "Description": "Consumer Deleted"},
    {"Status": "408", "Nats-Pending-Messages": "9" * 5_000},
    {"Status": "503"},
)
_ANSWERED: Final = 0.02
_MOST_INBOXES: Final = 100


class Hostile:
    """The one of a run. What it does is a matter of its seed alone."""

    def __init__(self, seed: str, journal: Journal, http_urls: HttpUrls) -> None:
        self._chance = Random(f"{seed}:hostile")
        self._journal = journal
        self._http_urls = http_urls
        self._nc: Client | None = None
        self._large = 0
        self._sent = 0
        self._inboxes: list[str] = []
        self.done: Counter[str] = Counter()

    async def open(self, url: str) -> None:
        self._nc = await connected(url)
        # Requests tell where their answers, and the messages of pulls, arrive.
        await self._nc.subscribe("$JS.API.>", cb=self._overhear)

    async def close(self) -> None:
        if self._nc is not None:
            with contextlib.suppress(NatsError, OSError):
                await self._nc.close()

    async def _overhear(self, message: Msg) -> None:
        """Note the daemons' own inboxes, and answer a few of their requests before the server does."""
        if self._nc is None or not message.reply.startswith(f"{OWN_INBOXES}."):
            return
        self._inboxes = [*self._inboxes[-_MOST_INBOXES:], message.reply]
        if self._chance.random() < _ANSWERED:
            self.done["answers forged"] += 1
            await self._nc.publish(message.reply, self._chance.choice(NO_ANSWERS))

    async def harm(self, until: asyncio.Event) -> None:
        """One thing after the other, until told to stop."""
        assert self._nc is not None
        ways = (
            *(self._costly, self._costly, self._large_body, self._forged),
            *(self._commands, self._silent_connections, self._answers, self._vanished_probe),
        )
        while not until.is_set():
            way = self._chance.choice(ways)
            self.done[way.__name__.strip("_").replace("_", " ")] += 1
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await way(self._nc)
            await asyncio.sleep(self._chance.uniform(0.05, 0.6))

    async def _costly(self, nc: Client) -> None:
        name, kind, write = self._chance.choice(COSTLY)
        subject = f"hg.ingest.{kind}"
        for _ in range(self._chance.choice((1, 1, 5))):
            message = Message(name, subject, write(), _INVALID, headers=self._identified())
            await publish(nc, message, self._journal)

    async def _large_body(self, nc: Client) -> None:
        """A few: the disks of a run are small, and each large body lies on them several times."""
        if self._large < _MOST_LARGE:
            self._large += 1
            body = self._chance.choice((b"x", b'"', b"\xff")) * _LARGE_BYTES
            headers = self._identified()
            message = Message("large body", "hg.ingest.session.usage", body, "PAYLOAD_TOO_LARGE", headers=headers)
            await publish(nc, message, self._journal)

    def _identified(self) -> dict[str, str]:
        """What a client library sends again by itself after an outage is one message all the same."""
        self._sent += 1
        return {"Nats-Msg-Id": f"hostile-{self._sent}"}

    async def _forged(self, nc: Client) -> None:
        for headers in FORGED:
            await nc.publish("hg.replay.ingest.session.usage", b"{}", headers=dict(headers) or None)
        await nc.publish("hg.replay.x", _enveloped("session.usage", "{}"))

    async def _commands(self, nc: Client) -> None:
        """Without an answer that could be had, without an end, with an answer to a subject of the daemon's own."""
        many = b"{" + b",".join(b'"k%d":0' % number for number in range(20_000)) + b"}"
        deep = b'{"payload":' + b"[" * 300 + b"]" * 300 + b"}"
        for subject in ("hg.cmd.job.create", "hg.ops.dead-letters", "hg.cmd.ledger.get"):
            for body in (many, deep, b"\xff", b""):
                await nc.publish(subject, body, reply=self._chance.choice(_REPLIES))

    async def _answers(self, nc: Client) -> None:
        """To inboxes of the daemons' own, whether something is awaited there or not."""
        for inbox in self._inboxes[-10:]:
            await nc.publish(inbox, self._chance.choice(NO_ANSWERS), headers=self._chance.choice(NO_STATUSES))

    async def _vanished_probe(self, nc: Client) -> None:
        """What is the daemons' own is deleted now and then; they make it again."""
        if self._chance.random() < 0.2:
            with contextlib.suppress(JetStreamError):
                await nc.jetstream().delete_stream("HG_PROBE")

    async def _silent_connections(self, _nc: Client) -> None:
        """Connections to HTTP that say nothing, or half of something, for a moment."""
        for url in self._http_urls():
            server = urlsplit(url)
            opened = []
            for number in range(_SOCKETS):
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(1):
                        _, writer = await asyncio.open_connection(server.hostname, server.port)
                    if number % 2:
                        writer.write(b"GET /livez HTTP/1.1\r\nHost:")
                    opened.append(writer)
            await asyncio.sleep(0.2)
            for writer in opened:
                writer.close()
