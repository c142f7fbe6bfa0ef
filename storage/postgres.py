"""PostgreSQL by asyncpg: any number of daemons share it.

The same synchronous units of work run inside SQLAlchemy's async engine (``run_sync``), which awaits the driver
underneath: repositories need not know.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.failures import classify
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")


def postgres_engine(url: str | URL, *, pool_size: int, timeout_s: float) -> AsyncEngine:
    """An asyncpg engine for a ``postgresql://`` URL whose waits for a connection end after *timeout_s*."""
    target = make_url(url).set(drivername="postgresql+asyncpg")
    return create_async_engine(
        target,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_pre_ping=True,
        connect_args={"timeout": timeout_s, "command_timeout": 60},
    )


class PostgresDatabase:
    """A database server, shared by daemons on any number of machines."""

    dialect: Final = "postgresql"

    def __init__(self, url: str | URL, *, busy_timeout_ms: int = 5_000, pool_size: int = 8) -> None:
        self._engine = postgres_engine(url, pool_size=pool_size, timeout_s=busy_timeout_ms / 1000)
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._transaction(self._engine, work)

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._transaction(self._snapshots, work)

    async def _transaction(self, engine: AsyncEngine, work: Callable[[UnitOfWork], T]) -> T:
        def whole(connection: Connection) -> T:
            return work(UnitOfWork(connection))

        try:
            async with engine.begin() as connection:
                return await connection.run_sync(whole)
        except Exception as error:
            failure = classify(error)
            if failure is None or failure is error:
                raise
            raise failure from error

    async def close(self) -> None:
        await self._engine.dispose()
