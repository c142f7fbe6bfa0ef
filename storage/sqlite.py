"""SQLite: one writer thread with one connection, a pool of readers, a whole unit of work in one hop.

Awaiting a driver statement by statement costs several thread hops each (0.3 ms measured) and holds the write lock for
all of them. Here the transaction's function runs whole in the writer's thread: ten statements cost one hop.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from storage.failures import DataRefused, StorageAway, of_driver, translate_errors
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")

WRITE: Final = "BEGIN IMMEDIATE"
"""Takes the write lock at once: a reader that turns writer later would meet "database is locked" without waiting."""
READ: Final = "BEGIN"
"""Sees what is committed when its first statement runs, until its end; in WAL mode it waits for no writer."""

_PRAGMAS: Final = (
    "synchronous=full",
    "foreign_keys=on",
    # A checkpoint every 16 MiB of log instead of 4: fewer random writes under load, still a small file.
    "wal_autocheckpoint=4000",
    "cache_size=-32768",
    "temp_store=memory",
    # Some builds overwrite what is deleted with zeros, at the cost of writing pages that would only be freed.
    "secure_delete=fast",
)


def sqlite_engine(path: Path, *, busy_timeout_ms: int, begin: str = WRITE) -> Engine:
    """An engine whose transactions are SQLite's own and start with *begin*.

    The driver's implicit transactions are switched off, for they neither cover DDL nor make reads repeatable.
    """
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "cached_statements": 512, "timeout": busy_timeout_ms / 1000},
    )
    translate_errors(engine)

    @event.listens_for(engine, "connect")
    def _configure(dbapi: sqlite3.Connection, _record: object) -> None:
        dbapi.isolation_level = None
        try:
            # The mode is the file's and stays: asking first spares the lock that setting it takes.
            if dbapi.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                dbapi.execute("PRAGMA journal_mode=wal")
            for pragma in _PRAGMAS:
                dbapi.execute(f"PRAGMA {pragma}")
            if begin == READ:
                dbapi.execute("PRAGMA query_only=on")
        except sqlite3.Error:
            dbapi.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class _Lane:
    """Threads that each keep one connection open and run whole units of work on it."""

    def __init__(self, engine: Engine, *, threads: int, name: str) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._local = threading.local()
        self._open: set[Connection] = set()
        self._closed = False

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._engine.connect()
            self._local.connection = connection
            self._open.add(connection)
        return connection

    def _discard(self) -> None:
        """Forget a connection that failed: the next unit of work opens a fresh one."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            self._open.discard(connection)
            connection.close()

    def _transaction(self, work: Callable[[UnitOfWork], T]) -> T:
        try:
            with self._connect().begin() as transaction:
                return work(UnitOfWork(transaction.connection))
        except StorageAway:
            self._discard()
            raise
        except DataRefused as refused:
            raise refused from None  # the driver's own words may quote the data
        except MemoryError as error:
            self._discard()
            raise StorageAway("MemoryError") from error

    def _connect(self) -> Connection:
        try:
            return self._connection()
        except Exception as error:
            failure = of_driver(error)
            if failure is None or failure is error:
                raise
            raise failure from error

    async def run(self, work: Callable[[UnitOfWork], T]) -> T:
        if self._closed:
            raise StorageAway("the database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._transaction, work)

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown, wait=True)
        while self._open:
            self._open.pop().close()


class SqliteDatabase:
    """A database in one file, for one machine.

    A unit of work whose caller is cancelled while it runs goes on to its end in its thread: whether it was committed is
    then not known to the caller. One that had not begun is dropped.
    """

    dialect: Final = "sqlite"

    def __init__(self, path: Path, *, busy_timeout_ms: int = 5_000, readers: int = 2) -> None:
        self._writer = _Lane(sqlite_engine(path, busy_timeout_ms=busy_timeout_ms), threads=1, name="db-writer")
        self._readers = _Lane(
            sqlite_engine(path, busy_timeout_ms=busy_timeout_ms, begin=READ), threads=readers, name="db-reader"
        )

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._writer.run(work)

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._readers.run(work)

    async def close(self) -> None:
        await self._readers.close()
        await self._writer.close()
