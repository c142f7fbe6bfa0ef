"""SQLite: one writer thread with one connection, a pool of readers, a whole unit of work in one hop.

Awaiting a driver statement by statement costs several thread hops each (0.3 ms measured) and holds the write lock for
all of them. Here the transaction's function runs whole in the writer's thread: ten statements cost one hop.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from storage.engine.failures import DataRefused, StorageAway, of_driver, translate_errors
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")
P = ParamSpec("P")

_MOST_TOGETHER: Final = 16

WRITE: Final = "BEGIN IMMEDIATE"
"""Takes the write lock at once: a reader that turns writer later would meet "database is locked" without waiting."""
READ: Final = "BEGIN"
"""Sees what is committed when its first statement runs, until its end; in WAL mode it waits for no writer."""

_PRAGMAS: Final = (
    "synchronous=full",
    "foreign_keys=on",
    # A checkpoint every 16 MiB of log instead of 4: fewer random writes under load, still a small file.
    "wal_autocheckpoint=4000",
    "temp_store=memory",
    # Some builds overwrite what is deleted with zeros, at the cost of writing pages that would only be freed.
    "secure_delete=fast",
)


_CACHE_KIB: Final[Mapping[str, int]] = {WRITE: 32_768, READ: 4_096}
"""Of each connection. There are several readers, and what they ask for, the system has in memory anyway."""


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
            dbapi.execute(f"PRAGMA cache_size=-{_CACHE_KIB[begin]}")
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

    async def run(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run *work* in a transaction of its own."""
        return await asyncio.wrap_future(self.submit(self.transaction, partial(_alone, work)))

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread of the lane call *function*."""
        if self._closed:
            raise StorageAway("the database is closed")
        return self._pool.submit(function, *args, **kwargs)

    def transaction(self, body: Callable[[Connection], T]) -> T:
        """In a thread of the lane: run *body* in one transaction."""
        try:
            with self._connect().begin() as transaction:
                return body(transaction.connection)
        except StorageAway:
            self._discard()
            raise
        except DataRefused as refused:
            raise _fit_to_tell(refused) from None
        except MemoryError as error:
            self._discard()
            raise StorageAway("MemoryError") from error

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown, wait=True)
        while self._open:
            self._open.pop().close()

    def _connect(self) -> Connection:
        try:
            return self._connection()
        except Exception as error:
            failure = of_driver(error)
            if failure is None or failure is error:
                raise
            raise failure from error

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


class _Request(Generic[T]):
    """A unit of work that waits for the writer, with the future of whoever waits for it."""

    def __init__(self, work: Callable[[UnitOfWork], T]) -> None:
        self.done: Future[T] = Future()
        self._work = work
        self._conclude: Callable[[], None] | None = None

    def carry_out(self, connection: Connection) -> None:
        """Run the work, alone in its transaction."""
        self._conclude = partial(self.done.set_result, self._work(UnitOfWork(connection)))

    def carry_out_among_others(self, connection: Connection) -> None:
        """Run the work so that what it changed is gone where it fails. Raises what ends the whole transaction."""
        connection.exec_driver_sql("SAVEPOINT unit")
        try:
            self.carry_out(connection)
        except (StorageAway, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever asked for the work
            connection.exec_driver_sql("ROLLBACK TO unit")
            self._conclude = partial(self.done.set_exception, _fit_to_tell(error))
        connection.exec_driver_sql("RELEASE unit")

    def committed(self) -> None:
        """Tell what the work came to, now that the transaction is durable."""
        assert self._conclude is not None  # noqa: S101 - set by either way of carrying it out
        self._conclude()


class _Writer:
    """Group commit: units of work that queued while the last transaction ran share the next one, and its sync.

    Each is a savepoint of its own: one that fails leaves no trace and does not touch its neighbours.
    """

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane
        self._queue: deque[_Request[Any]] = deque()

    async def run(self, work: Callable[[UnitOfWork], T]) -> T:
        request = _Request(work)
        self._queue.append(request)
        self._lane.submit(self._work_off)
        return await asyncio.wrap_future(request.done)

    def _work_off(self) -> None:
        queued = [self._queue.popleft() for _ in range(min(_MOST_TOGETHER, len(self._queue)))]
        group = [request for request in queued if request.done.set_running_or_notify_cancel()]
        if not group:
            return
        try:
            self._lane.transaction(partial(_carry_out, group))
        except Exception as error:  # noqa: BLE001 - told to all who wait for the transaction
            for request in group:
                request.done.set_exception(error)
        else:
            for request in group:
                request.committed()


def _carry_out(group: Sequence[_Request[Any]], connection: Connection) -> None:
    if len(group) == 1:
        group[0].carry_out(connection)
        return
    for request in group:
        request.carry_out_among_others(connection)


def _alone(work: Callable[[UnitOfWork], T], connection: Connection) -> T:
    return work(UnitOfWork(connection))


def _fit_to_tell(error: Exception) -> Exception:
    """Without the driver's own words, which may quote the data."""
    if isinstance(error, DataRefused):
        error.__cause__ = None
        error.__suppress_context__ = True
    return error


class SqliteDatabase:
    """A database in one file, for one machine.

    A unit of work whose caller is cancelled while it runs goes on to its end in its thread: whether it was committed is
    then not known to the caller. One that had not begun is dropped.
    """

    dialect: Final = "sqlite"

    def __init__(self, path: Path, *, busy_timeout_ms: int = 5_000, readers: int = 2) -> None:
        self._writing = _Lane(sqlite_engine(path, busy_timeout_ms=busy_timeout_ms), threads=1, name="db-writer")
        self._writer = _Writer(self._writing)
        self._readers = _Lane(
            sqlite_engine(path, busy_timeout_ms=busy_timeout_ms, begin=READ), threads=readers, name="db-reader"
        )

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._writer.run(work)

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._readers.run(work)

    async def close(self) -> None:
        await self._readers.close()
        await self._writing.close()
