"""The loop that keeps the daemon's lease, which tells others that it lives, and notices a database without writes."""

from collections.abc import Awaitable, Callable
from typing import Final

from daemon.observability.readiness import Readiness
from storage.engine.database import Database
from storage.engine.failures import StorageAway

LEASE_PREFIX: Final = "daemon."
LEASE_TTL_S: Final = 30.0
HEARTBEAT_S: Final = 5.0


class LeaseHeartbeat:
    """Keeps the daemon's lease."""

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

    async def step(self) -> None:
        """Renew the lease. Raises what storage raises."""
        try:
            await self.beat()
            await self._on_alive()
        except StorageAway as error:
            self._readiness.block("heartbeat", "database", str(error))
            raise
        self._readiness.clear("heartbeat")

    async def end(self) -> None:
        """Give the lease up: the daemon stops cleanly."""
        await self._database.write(lambda uow: uow.leases.forget(LEASE_PREFIX + self._daemon_id))
