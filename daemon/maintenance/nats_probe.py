"""The loop that proves that the server stores what is published, and what keeps the embedded server alive."""

import asyncio
import shutil
from collections.abc import Callable
from typing import Final

import structlog

from adapters.errors import ConnectFailedError
from adapters.nats.probe import probe
from contracts.subjects import Subjects
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.process.connections import Nats

log = structlog.get_logger(__name__)

PROBE_S: Final = 5.0
_PROBES_BEFORE_RESTART: Final = 2
_ROOM_BYTES: Final = 32 * 2**20


class NatsProbe:
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
        self._failures = 0

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
        found = await probe(self._nats.client, self._subjects, server=self._nats.server)
        if found.ok:
            self._failures = 0
            self._readiness.clear("probe")
        else:
            self._failures += 1
            self._readiness.block("probe", "nats", found.detail)
            await self._restart_where_it_helps()

    async def _restart_where_it_helps(self) -> None:
        """What is connected and stores nothing stays so until a restart: it gets one once its disk has room."""
        server = self._nats.server
        if server is None or self._failures < _PROBES_BEFORE_RESTART or not self._nats.client.is_connected:
            return
        usage = await asyncio.to_thread(shutil.disk_usage, server.store_dir)
        if usage.free >= _ROOM_BYTES:
            log.warning("nats_server_stores_nothing", free_bytes=usage.free)
            await server.restart()
