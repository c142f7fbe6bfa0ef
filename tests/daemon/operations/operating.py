"""An operator and a producer beside a real daemon: asks, publishes, looks."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import nats
import orjson
from nats.aio.client import Client

from tests.adapters.nats.waiting import eventually_awaited
from tests.contracts.samples import envelope, usage
from tests.support.daemons import DaemonProcess
from tests.support.waiting import PATIENCE_S

Json = Any

until = eventually_awaited


@dataclass
class Operator:
    """Speaks to a daemon as ``local``."""

    nc: Client
    prefix: str = "hg"
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, command: str, payload: Json = None, *, message_id: str | None = None, **fields: Json) -> Json:
        """The payload of the reply: ``status`` with ``result`` or ``error``."""
        asked = {**(payload or {}), **fields}
        body = orjson.dumps(
            envelope(asked, command, "1.0", message_id=message_id or str(uuid.uuid4()), producer="operator")
        )
        reply = await self.nc.request(
            f"{self.prefix}.ops.{command}", body, timeout=PATIENCE_S, headers=self.headers or None
        )
        return orjson.loads(reply.data)["payload"]

    async def result(self, command: str, payload: Json = None, **fields: Json) -> Json:
        """The result of what is expected to succeed."""
        answer = await self.ask(command, payload, **fields)
        assert "error" not in answer, answer
        return answer["result"]

    async def publish(self, body: Json, kind: str = "session.usage", headers: Mapping[str, str] | None = None) -> None:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        await self.nc.jetstream(timeout=PATIENCE_S).publish(
            f"{self.prefix}.ingest.{kind}", raw, headers=dict(headers or {})
        )

    async def letters(self, count: int, **filters: Json) -> list[Json]:
        """The dead letters that match, once there are *count*."""

        async def enough() -> list[Json]:
            found = (await self.result("dead-letters", action="list", limit=500, **filters))["items"]
            return found if len(found) >= count else []

        return await until(enough)

    async def letter_of(self, message_id: str) -> Json:
        """The dead letter of a message, once there is one."""

        async def there() -> Json:
            found = (await self.result("dead-letters", action="list", limit=500))["items"]
            return next((each for each in found if each["message_id"] == message_id), None)

        return await until(there)

    async def letter(self, dead_letter_id: str) -> Json:
        return await self.result("dead-letters", action="show", dead_letter_id=dead_letter_id)

    async def state(self, dead_letter_id: str, wanted: str) -> Json:
        """The letter, once it is in the state."""

        async def there() -> Json:
            letter = await self.letter(dead_letter_id)
            return letter if letter["state"] == wanted else None

        return await until(there)

    async def run(self, run_id: str) -> Json:
        (found,) = (await self.result("runs", run_id=run_id))["items"]
        return found

    async def ended(self, run_id: str, *, within_s: float = PATIENCE_S) -> Json:
        """The run, once it has ended."""

        async def over() -> Json:
            run = await self.run(run_id)
            return run if run["status"] != "running" else None

        return await until(over, within_s=within_s)


@asynccontextmanager
async def operating(daemon: DaemonProcess, **options: Json) -> AsyncIterator[Operator]:
    """Connected to the daemon's server."""
    nc = await nats.connect(daemon.nats_url)
    try:
        yield Operator(nc, **options)
    finally:
        await nc.close()


def wrong(number: int, **changes: Json) -> Json:
    """A message that is refused: its payload misses the rule of its tokens."""
    return envelope(usage(input_tokens=-1, **changes), message_id=f"m-{number}")


def right(number: int, **changes: Json) -> Json:
    """The same message as it should be."""
    return envelope(usage(**changes), message_id=f"m-{number}")
