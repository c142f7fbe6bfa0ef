"""The loop that proves that the server stores what is published, and what keeps the embedded server alive."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from adapters.errors import ConnectFailedError
from adapters.nats.probe import Probe
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.process.connections import Nats

log = structlog.get_logger(__name__)

PROBE_S: Final = 5.0
_PROBES_BEFORE_RESTART: Final = 2
_MOST_RESTARTS: Final = 3
_ROOM_BYTES: Final = 32 * 2**20


class NatsProbe:
    """Watches the server: starts the embedded one again when it dies, restarts one that takes no publish any more, and
    makes what vanished from any server again."""

    def __init__(
        self,
        nats: Nats,
        *,
        readiness: Readiness,
        metrics: Metrics,
        on_restart: Callable[[], None],
        probe: Callable[[], Awaitable[Probe]],
        provision: Callable[[], Awaitable[None]],
        on_made_again: Callable[[], None],
    ) -> None:
        self._nats = nats
        self._probe = probe
        self._provision = provision
        self._on_made_again = on_made_again
        self._readiness = readiness
        self._metrics = metrics
        self._on_restart = on_restart
        self._failures = 0
        self._restarts = 0

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

    async def step(self) -> None:
        """Publish a probe: only a stored message proves that the streams can be written."""
        found = await self._probe()
        if found.ok:
            self._failures = self._restarts = 0
            self._readiness.clear("probe")
            return
        self._readiness.block("probe", "nats", found.detail)
        if found.missing:
            await self._make_again(found)
        elif found.is_refused:
            self._failures += 1
            await self._restart_where_it_helps()

    async def _make_again(self, found: Probe) -> None:
        """What is the daemon's own and vanished while it runs is made again, and what waited for it goes on at once."""
        log.warning("nats_objects_vanished", missing=found.missing)
        await self._provision()
        log.warning("nats_objects_made_again", missing=found.missing)
        self._on_made_again()

    async def _restart_where_it_helps(self) -> None:
        """What is connected, has its streams and stores nothing stays so until a restart: it gets one once its disk has
        room, more patiently each time, and no more once several have changed nothing."""
        server = self._nats.server
        if server is None or self._failures < _PROBES_BEFORE_RESTART << self._restarts:
            return
        if self._restarts >= _MOST_RESTARTS:
            return
        usage = await asyncio.to_thread(shutil.disk_usage, server.store_dir)
        if usage.free < _ROOM_BYTES:
            return
        self._failures = 0
        self._restarts += 1
        log.warning("nats_server_stores_nothing", free_bytes=usage.free, restart=self._restarts, of=_MOST_RESTARTS)
        await server.restart()
        if self._restarts == _MOST_RESTARTS:
            log.error("nats_server_restarts_end", reason="restarts changed nothing; it is left as it is")
