"""Migrating a database by its URL: what ``headgate migrate`` and the start of the daemon do.

Whatever makes a database unfit to start on is one :class:`StorageUnusable` of one line; one that another process holds,
or a server that does not answer, is :class:`StorageAway` as ever.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from storage import migrations
from storage.engine.failures import DataRefused, StorageAway, StorageError, StorageUnusable, driver_error
from storage.engine.postgres.url import read_postgres_url
from storage.engine.sqlite.connection import READ, WRITE, SqliteConnection, sqlite_engine
from storage.engine.sqlite.url import sqlite_file
from storage.migrations import MigrationError, SchemaStatus, UnknownRevision

T = TypeVar("T")

_LOCK_WAIT_MS: Final = 60_000
"""How long a second daemon waits for the first one's migration."""
_PAUSE_S: Final = 0.02
_CONNECT_TIMEOUT_S: Final = 10
_MAGIC: Final = b"SQLite format 3\0"
_OLDEST_SQLITE: Final = (3, 38, 0)
"""STRICT tables, JSON built in."""


async def upgrade(
    url: str, revision: str = "head", *, make: bool = True, scripts: Path = migrations.SCRIPTS
) -> SchemaStatus:
    """Bring the database to *revision*; the status afterwards. With *make*, a missing file is made."""

    def step(connection: Connection) -> SchemaStatus:
        migrations.upgrade(connection, revision, scripts=scripts)
        return migrations.status(connection, scripts=scripts)

    target = _Target.of(url)
    if not make:
        target.require_there()
    return await target.run(step)


async def downgrade(url: str, revision: str, *, scripts: Path = migrations.SCRIPTS) -> SchemaStatus:
    """Take the database back to *revision* (``-1``: one step, ``base``: to nothing); the status afterwards."""

    def step(connection: Connection) -> SchemaStatus:
        migrations.downgrade(connection, revision, scripts=scripts)
        return migrations.status(connection, scripts=scripts)

    target = _Target.of(url)
    target.require_there()
    return await target.run(step)


async def status(url: str, *, scripts: Path = migrations.SCRIPTS) -> SchemaStatus:
    """Where the database stands. Changes nothing: a file that is missing stays missing, and is said to be."""
    target = _Target.of(url)
    target.require_there()
    return await target.run(lambda connection: migrations.status(connection, scripts=scripts), writes=False)


@dataclass(frozen=True, slots=True)
class _Target:
    """A database by its URL: ``path`` is set for SQLite."""

    url: str
    path: Path | None

    @classmethod
    def of(cls, url: str) -> "_Target":
        return cls(url, sqlite_file(url))

    @property
    def name(self) -> str:
        """What a person calls it; never with the password."""
        return str(self.path) if self.path is not None else read_postgres_url(self.url).name

    def require_there(self) -> None:
        """A server says itself which databases it has not; a file would be made by opening it."""
        if self.path is not None and not self.path.exists():
            raise StorageUnusable(f"there is no database at {self.path} (headgate migrate up --create makes one)")

    async def run(self, step: Callable[[Connection], T], *, writes: bool = True) -> T:
        """Run *step* in one transaction that may change the schema."""
        try:
            if self.path is not None:
                return await _on_sqlite(self.path, step, WRITE if writes else READ)
            return await self._on_postgres(step)
        except UnknownRevision as unknown:
            raise StorageUnusable(f"{self.name} {unknown}") from unknown
        except MigrationError as error:
            raise StorageUnusable(f"{self.name}: {_one_line(error)}") from error
        except DataRefused as error:
            raise StorageUnusable(self._failed(driver_error(error))) from error

    def _failed(self, root: BaseException) -> str:
        return f"{self.name}: the migration failed: {_one_line(root)}"

    async def _on_postgres(self, step: Callable[[Connection], T]) -> T:
        # They bring the driver and the whole of SQLAlchemy's asyncio with them.
        import asyncpg

        from storage.engine.postgres.database import postgres_engine
        from storage.engine.postgres.failures import asyncpg_error

        engine = postgres_engine(
            self.url,
            pool_size=1,
            timeout_s=_CONNECT_TIMEOUT_S,
            lock_timeout_ms=_LOCK_WAIT_MS,
            command_timeout_s=None,  # an index on a large table takes as long as it takes
        )

        def checked(connection: Connection) -> T:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if encoding != "UTF8":
                raise StorageUnusable(f"{self.name}: its encoding is {encoding}; headgate needs UTF8")
            return step(connection)

        try:
            async with engine.begin() as connection:
                return await connection.run_sync(checked)
        except StorageUnusable:
            raise
        except (StorageError, asyncpg.PostgresError, OSError) as error:
            root = asyncpg_error(error)
            said = f"{self.name}: {_one_line(root)}"
            if isinstance(root, asyncpg.PostgresError) and (root.sqlstate or "").startswith(_NOT_OURS):
                raise StorageUnusable(said) from error
            if isinstance(root, OSError):
                raise StorageAway(said) from error
            if isinstance(error, DataRefused):
                raise StorageUnusable(self._failed(root)) from error
            raise
        finally:
            await engine.dispose()


_NOT_OURS: Final = (
    "28",  # not let in
    "3D",  # no such database
    "3F",  # no such schema
    "42",  # privileges missing; tables in the way, or not there
)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


async def _on_sqlite(path: Path, step: Callable[[Connection], T], begin: str) -> T:
    _prepare_place(path)
    engine = sqlite_engine(path, busy_timeout_ms=_LOCK_WAIT_MS, begin=begin)
    deadline = time.monotonic() + _LOCK_WAIT_MS / 1_000

    def transaction(connection: Connection) -> T:
        with connection.begin():
            return step(connection)

    while True:
        try:
            connection = await SqliteConnection(engine).open()
            try:
                return await connection.run(transaction)
            finally:
                await connection.close()
        except StorageAway as away:
            root = driver_error(away)
            code = getattr(root, "sqlite_errorcode", 0) & 0xFF
            if code in _UNUSABLE:
                raise StorageUnusable(_UNUSABLE[code].format(path)) from away
            if code == sqlite3.SQLITE_ERROR:
                raise StorageUnusable(f"{path}: the migration failed: {_one_line(root)}") from away
            # Two that make one file at once meet where SQLite does not wait: while its mode changes to WAL.
            if code != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_PAUSE_S)


_UNUSABLE: Final[dict[int, str]] = {
    sqlite3.SQLITE_NOTADB: "{} is not an SQLite database",
    sqlite3.SQLITE_CORRUPT: "{} is damaged",
    sqlite3.SQLITE_CANTOPEN: "{} cannot be opened",
    sqlite3.SQLITE_READONLY: "{} cannot be written",
    sqlite3.SQLITE_PERM: "{} may not be opened",
}


def _prepare_place(path: Path) -> None:
    """See to it that a file can be opened at *path*, and say plainly what stands in the way."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageUnusable(f"SQLite {sqlite3.sqlite_version} is too old: headgate needs {oldest} or newer")
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageUnusable(f"{folder} is a file, not a folder for the database") from error
    except OSError as error:
        raise StorageUnusable(f"the folder {folder} cannot be made: {error.strerror}") from error
    if path.is_dir():
        raise StorageUnusable(f"{path} is a folder, not a database file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageUnusable(f"the folder {folder} cannot be written")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise StorageUnusable(f"{path} cannot be written")
    if not _may_be_sqlite(path):
        raise StorageUnusable(f"{path} is not an SQLite database")
    if not path.exists():
        path.touch(mode=0o600)  # what it will hold is nobody else's; its log is made as it is


def _may_be_sqlite(path: Path) -> bool:
    """Whether SQLite would not write over something else: it takes a very short file for an empty one."""
    if not path.exists() or any(path.with_name(path.name + end).exists() for end in ("-journal", "-wal")):
        return True  # what is in the log has not reached the file
    with path.open("rb") as file:
        beginning = file.read(len(_MAGIC))
    return beginning in {b"", _MAGIC}
