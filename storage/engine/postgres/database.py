"""PostgreSQL by asyncpg: any number of daemons share it.

The same synchronous units of work run inside SQLAlchemy's async engine (``run_sync``), which awaits the driver
underneath: repositories need not know.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.engine.failures import DataRefused, StorageAway, away, is_exhausted, translate_errors
from storage.engine.postgres.failures import is_lost, of_asyncpg
from storage.engine.postgres.url import PostgresUrl, read_postgres_url
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")

_COMMAND_TIMEOUT_S: Final = 60
_IDLE_TIMEOUT_MS: Final = 30_000
"""How long a stopped daemon may sit in a transaction before the server ends it, and with it the locks on its keys."""


_COMMIT_TO_DISK: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
)
"""A database or a role may say that commits return before they are flushed, here or at the standbys that are waited
for; what was acknowledged would be lost with the server. What is stricter (``remote_apply``) stays."""


async def _connect(
    url: PostgresUrl, *, timeout_s: float, lock_timeout_ms: int, command_timeout_s: float | None
) -> asyncpg.Connection:
    connection = await asyncpg.connect(
        url.dsn,
        timeout=timeout_s,
        command_timeout=command_timeout_s,
        server_settings={
            **url.server_settings,
            "idle_in_transaction_session_timeout": str(_IDLE_TIMEOUT_MS),
            "jit": "off",
            "lock_timeout": str(lock_timeout_ms),
        },
    )
    try:
        await connection.execute(_COMMIT_TO_DISK)
    except BaseException:
        connection.terminate()
        raise
    return connection


def postgres_engine(
    url: str,
    *,
    pool_size: int,
    timeout_s: float,
    lock_timeout_ms: int,
    command_timeout_s: float | None = _COMMAND_TIMEOUT_S,
) -> AsyncEngine:
    """An asyncpg engine for a ``postgresql://`` URL in libpq's words.

    A wait for a connection ends after *timeout_s*, one for a lock after *lock_timeout_ms* (0: never), a statement after
    *command_timeout_s* (``None``: never).
    """
    read = read_postgres_url(url)

    connect = partial(
        _connect,
        read,
        timeout_s=read.timeout_s or timeout_s,
        lock_timeout_ms=lock_timeout_ms,
        command_timeout_s=command_timeout_s,
    )

    def adapted() -> DBAPIConnection:
        driver = engine.sync_engine.dialect.import_dbapi()
        adapter: DBAPIConnection = driver.connect(async_creator_fn=connect, prepared_statement_cache_size=500)
        return adapter

    engine = create_async_engine(
        "postgresql+asyncpg://",
        creator=adapted,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_s,
        hide_parameters=True,
    )
    translate_errors(engine.sync_engine, of_asyncpg, is_lost)

    # The pool's own check before each use is three round trips. A server that stops ends its connections, and the
    # driver has noticed by then; what it could not notice fails once as StorageAway.
    @event.listens_for(engine.sync_engine, "checkout")
    def _refuse_lost(dbapi: AdaptedConnection, _record: object, _proxy: object) -> None:
        if dbapi.driver_connection.is_closed():
            raise DisconnectionError("the server closed the connection")

    return engine


class PostgresDatabase:
    """A database server, shared by daemons on any number of machines.

    A write whose connection is lost while it commits is :class:`StorageAway` too: whether it was committed is then not
    known, and repeating it is safe because its keys are in the inbox.
    """

    dialect: Final = "postgresql"
    keeps_order: Final = False

    def __init__(self, url: str, *, busy_timeout_ms: int = 5_000, pool_size: int = 8) -> None:
        self._engine = postgres_engine(
            url,
            pool_size=pool_size,
            timeout_s=max(busy_timeout_ms, 1_000) / 1_000,
            lock_timeout_ms=max(busy_timeout_ms, 1),
        )
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._closed = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:  # noqa: ARG002
        """At once, whatever the delay: here transactions share neither a connection nor a sync."""
        return await self._transaction(self._engine, work)

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._transaction(self._snapshots, work)

    async def _transaction(self, engine: AsyncEngine, work: Callable[[UnitOfWork], T]) -> T:
        unit: UnitOfWork | None = None

        def whole(connection: Connection) -> T:
            nonlocal unit
            unit = UnitOfWork(connection)
            return work(unit)

        if self._closed:
            raise StorageAway("the database is closed")
        self._running += 1
        self._idle.clear()
        try:
            async with _connected(engine) as connection, connection.begin():
                result = await connection.run_sync(whole)
        except DataRefused as refused:
            raise refused from None  # the server's own words may quote the data
        except (MemoryError, OSError) as error:
            if is_exhausted(error):
                raise away(error) from error
            raise
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
        if unit is not None:
            unit.committed()
        return result

    def wait_briefly(self) -> None:
        """Nothing to be done: the server ends each wait after ``busy_timeout_ms``, and they run side by side."""

    async def close(self) -> None:
        self._closed = True
        await self._idle.wait()
        await self._engine.dispose()


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection of the pool; whatever stands in the way of one is :class:`StorageAway`."""
    try:
        connection = await engine.connect()
    except Exception as error:
        failure = of_asyncpg(error)
        if failure is None:
            raise
        raise StorageAway(str(failure)) from error
    try:
        yield connection
    finally:
        await connection.close()
