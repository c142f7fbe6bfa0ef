"""SQLite: one writer and a pool of readers, each an ``aiosqlite`` connection with its thread."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from storage.engine.failures import StorageAway
from storage.engine.sqlite.connection import (
    READ,
    WRITE,
    DatabaseFileReplaced,
    LockWait,
    OpenedFile,
    Transactions,
    opened,
    sqlite_engine,
)
from storage.engine.sqlite.group_commit import GroupCommit
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")

CLOSED: Final = "the database is closed"


class _Writer:
    """The one connection that writes: opened when it is needed, and anew after it failed."""

    def __init__(self, path: Path, file: OpenedFile, busy_timeout_ms: int) -> None:
        self.waiting = LockWait(busy_timeout_ms)
        self._engine = sqlite_engine(
            path, busy_timeout_ms=busy_timeout_ms, begin=WRITE, make=False, waiting=self.waiting
        )
        self._file = file
        self._current: GroupCommit | None = None
        self._failed: GroupCommit | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False

    async def run(self, work: Callable[[UnitOfWork], T], commit_delay_s: float) -> T:
        group = self._current or await self._opened()
        try:
            return await group.run(work, commit_delay_s)
        except DatabaseFileReplaced:
            raise
        except StorageAway:
            if self._current is group:
                self._current, self._failed = None, group
            raise

    async def _opened(self) -> GroupCommit:
        async with self._opening:
            if self._failed is not None:
                await self._failed.close()
                self._failed = None
            if self._is_closed:
                raise StorageAway(CLOSED)
            if self._current is None:
                self._current = GroupCommit(await opened(self._engine, self._file))
            return self._current

    async def close(self) -> None:
        async with self._opening:
            self._is_closed = True
            for group in (self._failed, self._current):
                if group is not None:
                    await group.close()
            self._current = self._failed = None


class _Readers:
    """Connections that read, each one unit of work at a time; opened when needed, and anew after one failed."""

    def __init__(self, path: Path, file: OpenedFile, busy_timeout_ms: int, most: int) -> None:
        self._engine = sqlite_engine(path, busy_timeout_ms=busy_timeout_ms, begin=READ, make=False)
        self._file = file
        self._most = most
        self._room = asyncio.Semaphore(most)
        self._idle: list[Transactions] = []
        self._is_closed = False

    async def run(self, work: Callable[[UnitOfWork], T]) -> T:
        async with self._room:
            reader = self._idle.pop() if self._idle else await opened(self._engine, self._file)
            is_fit = False
            try:
                result = await reader.run(lambda connection: work(UnitOfWork(connection)))
                is_fit = True
            except StorageAway as away:
                is_fit = isinstance(away, DatabaseFileReplaced)
                raise
            except BaseException:
                is_fit = True
                raise
            finally:
                if is_fit:
                    self._idle.append(reader)
                else:
                    await reader.connection.close()
            return result

    async def close(self) -> None:
        """Close every connection after the unit of work that it has."""
        if self._is_closed:
            return
        self._is_closed = True
        for _ in range(self._most):
            await self._room.acquire()
        for reader in self._idle:
            await reader.connection.close()


class SqliteDatabase:
    """A database in one file, for one machine. The file is there already: the migration at the start made it.

    A unit of work whose caller is cancelled while it runs goes on to its end in its thread: whether it was committed is
    then not known to the caller. One that had not begun is dropped.
    """

    dialect: Final = "sqlite"
    keeps_order: Final = True

    def __init__(self, path: Path, *, busy_timeout_ms: int = 5_000, readers: int = 2) -> None:
        file = OpenedFile(path)
        self._writer = _Writer(path, file, busy_timeout_ms)
        self._readers = _Readers(path, file, busy_timeout_ms, readers)
        self._closed = False

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:
        if self._closed:
            raise StorageAway(CLOSED)
        return await self._writer.run(work, commit_delay_s)

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        if self._closed:
            raise StorageAway(CLOSED)
        return await self._readers.run(work)

    def wait_briefly(self) -> None:
        self._writer.waiting.end()

    async def close(self) -> None:
        self._closed = True
        await self._readers.close()
        await self._writer.close()
