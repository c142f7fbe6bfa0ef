"""The small loops beside intake: keeping the daemon's lease, trimming streams, watching the broker, reading gauges."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.client import Client

from adapters.errors import AdapterError, ConnectFailedError
from adapters.nats.probe import probe
from adapters.nats.streams.trim import fullness, trim
from contracts.subjects import Subjects
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.process.connections import Nats
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageError

log = structlog.get_logger(__name__)

LEASE_PREFIX: Final = "daemon."
LEASE_TTL_S: Final = 30.0
_HEARTBEAT_S: Final = 5.0
_HALF_FULL: Final = 0.5
_PROBE_S: Final = 5.0
_PROBES_BEFORE_RESTART: Final = 2
_ROOM_BYTES: Final = 32 * 2**20


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

    async def beat(self) -> None:
        """Take or renew the lease. Raises what storage raises."""
        await self._database.write(
            lambda uow: uow.leases.take(LEASE_PREFIX + self._daemon_id, holder=self._daemon_id, ttl_s=LEASE_TTL_S)
        )

    async def run(self) -> None:
        while True:
            try:
                await self.beat()
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


class NatsWatch:
    """Watches the server: starts the embedded one again when it dies, restarts one that takes no publish any more."""

    def __init__(
        self,
        nats: Nats,
        subjects: Subjects,
        *,
        readiness: Readiness,
        metrics: Metrics,
        on_restart: Callable[[], None],
    ) -> None:
        self._nats = nats
        self._subjects = subjects
        self._readiness = readiness
        self._metrics = metrics
        self._on_restart = on_restart

    async def keep_server(self) -> None:
        """Keep the embedded server alive; nothing to do for an external one."""
        if self._nats.server is not None:
            await self._nats.server.watch(self._restarted)

    async def _restarted(self) -> None:
        self._metrics.server_restarts.inc()
        self._on_restart()

    async def end_when_closed(self) -> None:
        """Raise :class:`ConnectFailedError` when the client gave up for good: its user was removed, say."""
        await self._nats.watch.closed.wait()
        raise ConnectFailedError("the NATS connection was closed for good: the server refuses this client")

    async def probe_server(self) -> None:
        """Publish a probe now and then: only a stored message proves that the streams can be written."""
        failures = 0
        while True:
            found = await probe(self._nats.client, self._subjects, server=self._nats.server)
            if found.ok:
                failures = 0
                self._readiness.clear("probe")
            else:
                failures += 1
                self._readiness.block("probe", "nats", found.detail)
                await self._cure(failures)
            await asyncio.sleep(_PROBE_S)

    async def _cure(self, failures: int) -> None:
        """What is connected and stores nothing stays so until a restart: it gets one once its disk has room."""
        server = self._nats.server
        if server is None or failures < _PROBES_BEFORE_RESTART or not self._nats.client.is_connected:
            return
        usage = await asyncio.to_thread(shutil.disk_usage, server.store_dir)
        if usage.free >= _ROOM_BYTES:
            log.warning("nats_server_stores_nothing", free_bytes=usage.free)
            await server.restart()


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A stream that is trimmed of what its consumer acknowledged; not while the stream ``advisories`` tells of messages
    that the server gave up on and that are still to be fetched."""

    stream: str
    consumer: str
    advisories: str | None = None


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
                purged = await trim(self._nc, trimmed.stream, [trimmed.consumer], advisories=trimmed.advisories)
                self._metrics.trimmed.labels(trimmed.stream).inc(purged)
        if due:
            self._due_at = time.monotonic() + self._interval_s
