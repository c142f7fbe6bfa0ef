"""Producers: each with a connection of its own, publishing in bursts and writing down what was acknowledged to it."""

import asyncio
import json
from dataclasses import replace
from random import Random
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from tests.chaos.load.invalid import invalid
from tests.chaos.load.journal import Journal
from tests.chaos.load.messages import RECEIPT_HEADER, Author, Message, conflicting, duplicate, valid
from tests.support.connections import ignored

_ANSWER_S: Final = 3.0
_BURSTS: Final = (1, 1, 5, 20, 60, 200)


async def connected(url: str) -> Client:
    """A connection that outlives every outage of the server, and waits for its first start too."""
    while True:
        try:
            return await nats.connect(
                url.split(","),
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                connect_timeout=2,
                ping_interval=5,
                error_cb=ignored,
                allow_reconnect=True,
            )
        except (NatsError, OSError, TimeoutError):
            await asyncio.sleep(0.2)


async def publish(nc: Client, message: Message, journal: Journal) -> bool:
    """Publish once; whether the stream acknowledged it."""
    try:
        headers = dict(message.headers) or None
        answer = await nc.request(message.subject, message.body, timeout=_ANSWER_S, headers=headers)
        said: dict[str, Any] = json.loads(answer.data or b'{"error": {"description": "no stream"}}')
    except (NatsError, OSError) as error:
        journal.not_acknowledged(message, type(error).__name__)
        return False
    if (refused := said.get("error")) is not None:
        journal.not_acknowledged(message, f"refused by the server: {refused['description']}")
        return False
    place = (str(said["stream"]), int(said["seq"]))
    journal.acknowledged(message, place, repeated=bool(said.get("duplicate")))
    return True


class Producer:
    """One producer. What it says is a matter of its seed alone; what becomes of it is not."""

    def __init__(self, number: int, seed: str, journal: Journal) -> None:
        chance = Random(f"{seed}:producer:{number}")
        self._author = Author(f"producer-{number}", number, chance)
        self._chance = chance
        self._journal = journal
        self._receipts_at = f"_INBOX.chaos.{self._author.name}"
        self._nc: Client | None = None
        self._again: list[Message] = []

    async def open(self, url: str) -> None:
        """Connect and listen for receipts, until :meth:`close`."""
        self._nc = await connected(url)
        await self._nc.subscribe(self._receipts_at, cb=self._on_receipt)

    async def publish(self, until: asyncio.Event, *, pause_s: float) -> None:
        """Publish bursts until told to stop, *pause_s* apart on average."""
        while not until.is_set():
            burst = [self._next() for _ in range(self._chance.choice(_BURSTS))]
            await asyncio.gather(*(self._publish_one(message) for message in burst))
            await asyncio.sleep(self._chance.uniform(0, 2 * pause_s))

    async def close(self) -> None:
        if self._nc is not None:
            await self._nc.close()

    def _next(self) -> Message:
        if self._again and self._chance.random() < 0.2:
            return self._again.pop(0)
        return self._with_receipt(self._new())

    def _new(self) -> Message:
        dice = self._chance.random()
        if dice < 0.64 or not self._author.said:
            return valid(self._author)
        if dice < 0.76:
            return duplicate(self._author)
        if dice < 0.82:
            return conflicting(self._author)
        return invalid(self._author)

    def _with_receipt(self, message: Message) -> Message:
        if not message.may_have_receipt or self._chance.random() >= 0.4:
            return message
        return replace(message, headers={**message.headers, RECEIPT_HEADER: self._receipts_at})

    async def _publish_one(self, message: Message) -> None:
        """As real producers do, half of what was not acknowledged is sent again later, unchanged."""
        assert self._nc is not None
        if not await publish(self._nc, message, self._journal) and self._chance.random() < 0.5:
            self._again.append(message)

    async def _on_receipt(self, message: Msg) -> None:
        self._journal.received(json.loads(message.data)["payload"])
