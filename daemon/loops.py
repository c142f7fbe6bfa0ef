"""The small loops beside intake: keeping the daemon's lease, trimming streams, watching the broker, reading gauges."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.client import Client

from adapters.errors import AdapterError
from adapters.trim import fullness, trim
from daemon.metrics import Metrics
from daemon.readiness import Readiness
from storage.database import Database
from storage.failures import StorageAway, StorageError

log = structlog.get_logger(__name__)

LEASE_PREFIX: Final = "daemon."
LEASE_TTL_S: Final = 30.0
_HEARTBEAT_S: Final = 5.0
_HALF_FULL: Final = 0.5


async def every(seconds: float, step: Callable[[], Awaitable[None]]) -> None:
    """Run *step* again and again, *seconds* apart, until cancelled. What it raises of the outside world is logged: a
    loop that heals must outlive every outage."""
    while True:
        try:
            await step()
        except (StorageError, AdapterError, OSError) as error:
            log.warning("loop_step_failed", loop=getattr(step, "__qualname__", "?"), reason=str(error))
        await asyncio.sleep(seconds)


class Heartbeat:
    """Keeps the daemon's lease, which tells others that it lives, and notices a database that takes no writes."""

    def __init__(
        self,
        database: Database,
        *,
        daemon_id: str,
        readiness: Readiness,
        on_alive: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._daemon_id = daemon_id
        self._readiness = readiness
        self._on_alive = on_alive

    async def run(self) -> None:
        while True:
            try:
                await self._database.write(
                    lambda uow: uow.leases.take(
                        LEASE_PREFIX + self._daemon_id, holder=self._daemon_id, ttl_s=LEASE_TTL_S
                    )
                )
                await self._on_alive()
            except StorageAway as error:
                self._readiness.block("heartbeat", "database", str(error))
            except StorageError as error:
                log.warning("heartbeat_failed", reason=str(error))
            else:
                self._readiness.clear("heartbeat")
            await asyncio.sleep(_HEARTBEAT_S)

    async def end(self) -> None:
        """Give the lease up: the daemon stops cleanly."""
        await self._database.write(lambda uow: uow.leases.forget(LEASE_PREFIX + self._daemon_id))


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A stream that is trimmed of what its consumer acknowledged."""

    stream: str
    consumer: str


class Trimmer:
    """Purges what is acknowledged: every ``interval_s``, and at once when a stream is over half full."""

    def __init__(self, nc: Client, streams: list[Trimmed], *, interval_s: float, metrics: Metrics) -> None:
        self._nc = nc
        self._streams = streams
        self._interval_s = interval_s
        self._metrics = metrics
        self._due_at = 0.0

    async def step(self) -> None:
        due = time.monotonic() >= self._due_at
        for trimmed in self._streams:
            if due or (await fullness(self._nc, trimmed.stream)).ratio > _HALF_FULL:
                purged = await trim(self._nc, trimmed.stream, [trimmed.consumer])
                self._metrics.trimmed.labels(trimmed.stream).inc(purged)
        if due:
            self._due_at = time.monotonic() + self._interval_s
