"""Receipts as they come in: each at a subject of its own, so that an answer finds its record whatever happened."""

import asyncio
import uuid
from dataclasses import dataclass
from typing import Final

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from daemon.cli.publish.letters import Letter
from daemon.cli.publish.tally import Tally

_MOST_WAITING: Final = 20_000
_MOST_WAITING_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class SentRecord:
    """A letter that is on its way. ``tried``: it may be stored already; ``rounds``: how often it was published anew.

    Connections are numbered from 1: ``tried_over`` is the one of the first try of this round, ``over`` the one that it
    was stored over (0: not known to be stored).
    """

    number: int
    letter: Letter
    tried: bool = False
    tried_over: int = 0
    over: int = 0
    rounds: int = 0


class Receipts:
    """The letters whose receipts are awaited. ``heard`` is set by each receipt."""

    def __init__(self, tally: Tally, inbox_prefix: str) -> None:
        self._tally = tally
        self._inbox = f"{inbox_prefix.removesuffix('.')}.{uuid.uuid4().hex}"
        self._waiting: dict[int, SentRecord] = {}
        self._bytes = 0
        self.heard = asyncio.Event()
        self.misread = 0
        """Messages that came to the inbox and were no receipts."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether memory is used up by what is awaited."""
        return len(self._waiting) >= _MOST_WAITING or self._bytes >= _MOST_WAITING_BYTES

    def subject(self, number: int) -> str:
        """Where the receipt of the letter *number* is to go."""
        return f"{self._inbox}.{number}"

    def awaits(self, number: int) -> bool:
        return number in self._waiting

    def expect(self, sent: SentRecord) -> None:
        self._waiting[sent.number] = sent
        self._bytes += len(sent.letter.body)

    def forget(self, number: int) -> None:
        """No receipt will come for it. Forgetting twice is fine."""
        sent = self._waiting.pop(number, None)
        if sent is not None:
            self._bytes -= len(sent.letter.body)

    def lost_with(self, connection: int) -> list[SentRecord]:
        """What was stored over connections before *connection*: its receipts may have found nobody."""
        return [sent for sent in self._waiting.values() if 0 < sent.over < connection]

    async def listen(self, client: Client) -> None:
        """Take receipts over a new connection."""
        await client.subscribe(f"{self._inbox}.*", cb=self._land, pending_msgs_limit=0, pending_bytes_limit=0)

    async def _land(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        sent = self._waiting.get(int(token)) if token.isascii() and token.isdigit() else None
        if sent is None:
            return  # told already: a redelivery repeats its receipt
        try:
            self._tally.receipt(sent.letter.place, orjson.loads(message.data)["payload"])
        except (ValueError, KeyError, TypeError):
            self.misread += 1
            return
        self.forget(sent.number)
        self.heard.set()
