"""One SQLite connection with its thread, and the file that it is open on.

Both belong to an :class:`aiosqlite.Connection`. Awaiting it statement by statement would cost a hop to its thread and
back for each, and hold the write lock for all of them; so a transaction is handed over whole, in one hop (decision
0002). SQLAlchemy's statements run in that thread, on the connection that aiosqlite keeps.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar, cast
from urllib.parse import quote

import aiosqlite
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from storage.engine.failures import (
    DataRefused,
    StorageAway,
    away,
    driver_error,
    is_exhausted,
    of_sqlite,
    translate_errors,
)

T = TypeVar("T")

WRITE: Final = "BEGIN IMMEDIATE"
"""Takes the write lock at once: a reader that turns writer later would meet "database is locked" without waiting."""
READ: Final = "BEGIN"
"""Sees what is committed when its first statement runs, until its end; in WAL mode it waits for no writer."""

_PRAGMAS: Final = (
    "synchronous=full",
    "foreign_keys=on",
    # A checkpoint every 32 MiB of log instead of 4: fewer random writes under load, still a small file. It is the
    # writer that makes it: 15 to 35 ms each, in which nothing else is committed.
    "wal_autocheckpoint=8000",
    "temp_store=memory",
    # Some builds overwrite what is deleted with zeros, at the cost of writing pages that would only be freed.
    "secure_delete=fast",
)

_CACHE_KIB: Final[Mapping[str, int]] = {WRITE: 16_384, READ: 4_096}
"""Of each connection. There are several readers, and what they ask for, the system has in memory anyway."""


class LockWait:
    """How long a transaction waits to begin while another program holds the database: in short waits, each of which
    hears that the daemon stops."""

    _EACH_MS: Final = 250
    _AT_THE_STOP_S: Final = 1.0

    def __init__(self, busy_timeout_ms: int) -> None:
        self._most_s = busy_timeout_ms / 1_000
        self.each_ms = min(busy_timeout_ms, self._EACH_MS)
        self._latest = float("inf")

    def end(self) -> None:
        """The daemon stops: a second from now nobody waits longer than once."""
        self._latest = min(self._latest, time.monotonic() + self._AT_THE_STOP_S)

    def begin(self, connection: Connection, statement: str) -> None:
        """Run *statement*, again where the database is held by others. Raises what storage raises."""
        deadline = time.monotonic() + self._most_s
        while True:
            try:
                connection.exec_driver_sql(statement)
            except StorageAway as away:
                cause = driver_error(away)
                is_held = isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not is_held or time.monotonic() >= min(deadline, self._latest):
                    raise
            else:
                return


def sqlite_engine(
    path: Path, *, busy_timeout_ms: int, begin: str = WRITE, make: bool = True, waiting: LockWait | None = None
) -> Engine:
    """An engine whose transactions are SQLite's own and start with *begin*.

    Without *make* a file that is missing stays missing. The driver's implicit transactions are switched off, for they
    neither cover DDL nor make reads repeatable. *waiting* is how transactions wait for others, if not SQLite's way.
    """
    place = f"file:{quote(os.fsencode(path.absolute()))}?mode={'rwc' if make else 'rw'}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, uri=True, cached_statements=512, timeout=busy_timeout_ms / 1_000)

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    translate_errors(engine, of_sqlite)

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
            if waiting is not None:
                dbapi.execute(f"PRAGMA busy_timeout={waiting.each_ms}")
        except sqlite3.Error:
            dbapi.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if waiting is None:
            connection.exec_driver_sql(begin)
        else:
            waiting.begin(connection, begin)

    return engine


class ThreadedConnection(aiosqlite.Connection):
    """A connection of aiosqlite whose thread has ended where opening it failed or was cancelled.

    The thread says so to the loop, which may be closed a moment later.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, iter_chunk_size=64)
        self._end: asyncio.Future[object] | None = None

    async def open(self) -> Self:
        """Start the thread and open the connection. Raises what that raises."""
        try:
            await self
        except BaseException:
            if self._end is not None:
                await asyncio.shield(self._end)
            raise
        return self

    async def __aenter__(self) -> Self:
        return await self.open()

    def stop(self) -> asyncio.Future[object] | None:
        """End the thread after everything that was handed over."""
        self._end = super().stop()
        return self._end


class SqliteConnection(ThreadedConnection):
    """A connection over which SQLAlchemy's statements run, with one more method: it takes a whole unit of work.

    Opening it raises what :mod:`storage.engine.failures` names.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(self._connect_engine)
        self._engine = engine
        self._statements: Connection | None = None

    async def run(self, unit: Callable[[Connection], T]) -> T:
        """Hand *unit* over whole; what it answers or raises. It goes on to its end where the caller is cancelled."""
        execute: Callable[..., Coroutine[Any, Any, T]] = self._execute
        return await execute(unit, self._statements)

    async def close(self) -> None:
        """Close it after everything that was handed over. Closing twice is fine."""
        if self._connection is not None:
            await self.run(Connection.close)
        await super().close()

    def _connect_engine(self) -> sqlite3.Connection:
        try:
            self._statements = self._engine.connect()
        except Exception as error:
            failure = of_sqlite(error)
            if failure is None or failure is error:
                raise
            raise failure from error
        return cast("sqlite3.Connection", self._statements.connection.driver_connection)


class DatabaseFileReplaced(StorageAway):
    """The file at the path is not the one that is open: what is committed now would be gone with the process."""


_Identity: TypeAlias = tuple[int, int] | None


class OpenedFile:
    """The database file that the first connection opened. It has to stay the file at its path, and so has its log.

    Where it was moved, it may come back: connections that are open stay open for that, and none is opened on another.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._file: _Identity = None

    def opened(self) -> _Identity:
        """Note which file was opened, if it is the first time; the identity of its log."""
        if self._file is None:
            self._file = _identity(self._path)
        return _identity(self._log)

    def check(self, log: _Identity) -> None:
        """Raise :class:`DatabaseFileReplaced` where the files at the paths are others, or none."""
        if self._file is not None and _identity(self._path) != self._file:
            raise DatabaseFileReplaced(f"the database file {self._path} was removed or replaced while it is in use")
        if log is not None and _identity(self._log) != log:
            raise DatabaseFileReplaced(f"the log {self._log} was removed or replaced while it is in use")


def _identity(path: Path) -> _Identity:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice for each transaction: a third of the time of Path.stat
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Transactions:
    """Transactions on one connection; each is called in its thread."""

    def __init__(self, file: OpenedFile, connection: SqliteConnection) -> None:
        self._file = file
        self._log = file.opened()
        self.connection = connection

    async def run(self, body: Callable[[Connection], T]) -> T:
        """Run *body* in one transaction, in one hop."""
        return await self.connection.run(lambda statements: self.transaction(statements, body))

    def transaction(self, statements: Connection, body: Callable[[Connection], T]) -> T:
        """In the connection's thread: *body* in one transaction, which is not committed to a file that was replaced."""
        try:
            with statements.begin():
                result = body(statements)
                self._file.check(self._log)
                return result
        except DataRefused as refused:
            raise without_words(refused) from None
        except (MemoryError, OSError) as error:
            if is_exhausted(error):
                raise away(error) from error
            raise


async def opened(engine: Engine, file: OpenedFile) -> Transactions:
    """A fresh connection to the file that is open already, or to the one that becomes it."""
    file.check(None)
    try:
        connection = await SqliteConnection(engine).open()
    except RuntimeError as error:  # no thread is to be had: a lack that passes
        raise StorageAway(f"no connection: {error}") from error
    return Transactions(file, connection)


def without_words(error: Exception) -> Exception:
    """The error without the driver's own words, which may quote the data."""
    if isinstance(error, DataRefused):
        error.__cause__ = None
        error.__suppress_context__ = True
    return error
