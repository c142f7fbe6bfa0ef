"""Many requests in flight over one inbox subscription, awaited in groups."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription


class Flight:
    """Requests whose answers are awaited together: ``count`` of them, numbered from ``first`` on."""

    def __init__(self, inbox: str, first: int, count: int) -> None:
        self.first = first
        self._inbox = inbox
        self._answers: list[Msg | None] = [None] * count
        self._missing = count
        self._landed = asyncio.Event()

    def reply_to(self, index: int) -> str:
        """Where the answer to the request ``index`` (from 0) must go."""
        return f"{self._inbox}.{self.first + index}"

    def land(self, number: int, answer: Msg) -> bool:
        """Take an answer if it is one of this flight's."""
        index = number - self.first
        if not 0 <= index < len(self._answers):
            return False
        if self._answers[index] is None:
            self._answers[index] = answer
            self._missing -= 1
            if self._missing == 0:
                self._landed.set()
        return True

    async def wait(self, timeout_s: float) -> list[Msg | None]:
        """The answers; None for each that did not come in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._landed.wait()
        except TimeoutError:
            return self._answers
        return self._answers


class Replies:
    """The inbox. Answers that come after their flight has ended are dropped."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = nc.new_inbox()
        self._next = 0
        self._flights: list[Flight] = []
        self._subscription: Subscription | None = None
        self._opening = asyncio.Lock()

    def new_id(self) -> str:
        """An id that no other connection uses."""
        self._next += 1
        return f"{self._inbox.rpartition('.')[2]}-{self._next}"

    @asynccontextmanager
    async def expect(self, count: int) -> AsyncIterator[Flight]:
        """A flight of ``count`` requests; it ends with the block."""
        await self._open()
        flight = Flight(self._inbox, self._next, count)
        self._next += count
        self._flights.append(flight)
        try:
            yield flight
        finally:
            self._flights.remove(flight)

    async def close(self) -> None:
        """Give the subscription up; closing twice is fine."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._nc.is_connected:
            await subscription.unsubscribe()

    async def _open(self) -> None:
        async with self._opening:
            if self._subscription is None:
                self._subscription = await self._nc.subscribe(
                    f"{self._inbox}.*", cb=self._land, pending_msgs_limit=0, pending_bytes_limit=0
                )

    async def _land(self, answer: Msg) -> None:
        token = answer.subject.rpartition(".")[2]
        number = int(token) if token.isascii() and token.isdigit() else -1
        any(flight.land(number, answer) for flight in self._flights)
