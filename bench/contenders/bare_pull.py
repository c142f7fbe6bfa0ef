"""The ceiling: a continuous pull on nats-py that looks at nothing and only acknowledges.

Overlapping pull requests keep a window of messages on the wire, the callback appends to a list, each message is
acknowledged explicitly. No validation, no database.
"""

import asyncio
from typing import Final

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.contenders.job import Job, main

WINDOW: Final = 4_000
BATCH: Final = 1_000


class BarePull:
    """Keeps up to ``WINDOW`` messages requested or buffered."""

    def __init__(self, client: Client, job: Job) -> None:
        self._client = client
        self._request_to = f"$JS.API.CONSUMER.MSG.NEXT.{job.stream}.{job.consumer}"
        self._inbox = client.new_inbox()
        self._owed = 0
        self._buffer: list[Msg] = []
        self._arrived = asyncio.Event()
        self.acknowledged: list[str] = []

    async def run(self) -> None:
        await self._client.subscribe(
            self._inbox, cb=self._take, pending_msgs_limit=2 * WINDOW, pending_bytes_limit=128 << 20
        )
        while True:
            await self._refill()
            await self._arrived.wait()
            self._arrived.clear()
            while self._buffer:
                batch, self._buffer = self._buffer[:BATCH], self._buffer[BATCH:]
                for message in batch:
                    await self._client.publish(message.reply)
                self.acknowledged.extend(message.reply for message in batch)
                await self._refill()

    async def _take(self, message: Msg) -> None:
        if message.reply:
            self._owed -= 1
            self._buffer.append(message)
        elif (left := (message.headers or {}).get("Nats-Pending-Messages")) is not None:
            self._owed = max(0, self._owed - int(left))
        self._arrived.set()

    async def _refill(self) -> None:
        room = WINDOW - self._owed - len(self._buffer)
        if room >= WINDOW // 2:
            self._owed += room
            request = {"batch": room, "expires": 30 * 10**9, "idle_heartbeat": 5 * 10**9}
            await self._client.publish(self._request_to, orjson.dumps(request), reply=self._inbox)


async def bare_pull(job: Job, stop: asyncio.Event) -> dict[str, int]:
    client = await nats.connect(job.url)
    pull = BarePull(client, job)
    running = asyncio.ensure_future(pull.run())
    await asyncio.wait([running, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    running.cancel()
    await client.close()
    return {"messages": len(pull.acknowledged), "distinct": len(set(pull.acknowledged))}


if __name__ == "__main__":
    main(bare_pull)
