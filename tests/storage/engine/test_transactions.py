"""Units of work: whole or not at all, on one snapshot, in nobody's way."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.util import await_only

from storage.engine.database import Database
from storage.engine.sqlite.database import SqliteDatabase
from storage.journal.inbox import InboxKey
from storage.unit_of_work import UnitOfWork
from tests.support import databases


def claim(*names: str) -> Callable[[UnitOfWork], None]:
    def work(uow: UnitOfWork) -> None:
        uow.inbox.claim([InboxKey("k", name, "hash") for name in sorted(names)], now=1)

    return work


def known(*names: str) -> Callable[[UnitOfWork], set[str]]:
    return lambda uow: {name for _, name in uow.inbox.known([("k", name) for name in names])}


class Pause:
    """A point in a unit of work at which a test holds it, on either kind of database."""

    def __init__(self, dialect: str) -> None:
        self._threaded = dialect == "sqlite"
        self._loop = asyncio.get_running_loop()
        self._reached, self._go_on, self._thread_goes_on = asyncio.Event(), asyncio.Event(), threading.Event()

    def here(self) -> None:
        """Called by the work."""
        self._loop.call_soon_threadsafe(self._reached.set)
        if self._threaded:
            assert self._thread_goes_on.wait(60)
        else:
            await_only(self._go_on.wait())

    async def reached(self) -> None:
        await self._reached.wait()

    def end(self) -> None:
        self._go_on.set()
        self._thread_goes_on.set()


async def test_what_a_unit_of_work_returns_comes_back(database: Database) -> None:
    assert await database.write(lambda _uow: 42) == 42
    assert await database.read(lambda _uow: "read") == "read"


async def test_a_unit_of_work_that_raises_leaves_nothing(database: Database) -> None:
    def fail(uow: UnitOfWork) -> None:
        claim("a", "b")(uow)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await database.write(fail)

    assert await database.read(known("a", "b")) == set()


async def test_what_is_committed_is_there_for_the_next_reader(database: Database) -> None:
    for number in range(20):
        await database.write(claim(str(number)))
        assert await database.read(known(str(number))) == {str(number)}


async def test_a_reader_stays_on_its_snapshot_and_a_writer_waits_for_no_reader(database: Database) -> None:
    pause = Pause(database.dialect)

    def look_twice(uow: UnitOfWork) -> tuple[set[str], set[str]]:
        before = known("a", "b")(uow)
        pause.here()
        return before, known("a", "b")(uow)

    await database.write(claim("a"))
    reader = asyncio.ensure_future(database.read(look_twice))
    await pause.reached()
    await database.write(claim("b"))
    pause.end()

    assert await reader == ({"a"}, {"a"})
    assert await database.read(known("a", "b")) == {"a", "b"}


async def test_a_reader_waits_for_no_writer_and_sees_nothing_uncommitted(database: Database) -> None:
    pause = Pause(database.dialect)

    def claim_slowly(uow: UnitOfWork) -> None:
        claim("a")(uow)
        pause.here()

    writer = asyncio.ensure_future(database.write(claim_slowly))
    await pause.reached()
    assert await database.read(known("a")) == set()
    pause.end()
    await writer

    assert await database.read(known("a")) == {"a"}


async def test_many_at_once_all_go_through(database: Database) -> None:
    await asyncio.gather(*(database.write(claim(f"{number:03d}")) for number in range(50)))
    everything = [f"{number:03d}" for number in range(50)]

    read = await asyncio.gather(*(database.read(known(*everything)) for _ in range(20)))

    assert read == [set(everything)] * 20


async def test_a_write_that_is_given_up_harms_nobody(database: Database) -> None:
    pause = Pause(database.dialect)

    def claim_slowly(uow: UnitOfWork) -> None:
        claim("a")(uow)
        pause.here()

    writer = asyncio.ensure_future(database.write(claim_slowly))
    await pause.reached()
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    pause.end()

    await database.write(claim("b"))
    assert "b" in await database.read(known("a", "b"))


async def test_closing_waits_for_what_runs(database_url: str) -> None:
    async with databases.opened(database_url) as database:
        pause = Pause(database.dialect)

        def claim_slowly(uow: UnitOfWork) -> None:
            claim("a")(uow)
            pause.here()

        writer = asyncio.ensure_future(database.write(claim_slowly))
        await pause.reached()
        closing = asyncio.ensure_future(database.close())
        await asyncio.sleep(0)
        assert not closing.done()
        pause.end()
        await closing
        await writer

    async with databases.opened(database_url) as again:
        assert await again.read(known("a")) == {"a"}


@pytest.fixture
def sqlite_path(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(str(make_url(databases.sqlite_copy(sqlite_template, tmp_path)).database))


async def test_sqlite_is_set_up_to_survive_and_to_be_shared(sqlite_path: Path) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 1234}
    writing = wanted | {"busy_timeout": 250}  # again and again, so that a stop is heard

    def pragmas(uow: UnitOfWork) -> dict[str, object]:
        return {name: uow.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}

    async with databases.opened(databases.sqlite_url(sqlite_path), busy_timeout_ms=1234) as database:
        assert await database.write(pragmas) == writing
        assert await database.read(pragmas) == wanted


async def test_sqlite_writes_in_one_thread_and_reads_in_others(sqlite_path: Path) -> None:
    def thread(_uow: UnitOfWork) -> int:
        return threading.get_ident()

    database = SqliteDatabase(sqlite_path, readers=3)
    try:
        writers = await asyncio.gather(*(database.write(thread) for _ in range(10)))
        readers = await asyncio.gather(*(database.read(thread) for _ in range(10)))
    finally:
        await database.close()

    assert len(set(writers)) == 1
    assert set(writers).isdisjoint(readers)


async def test_sqlite_closes_every_connection(sqlite_path: Path) -> None:
    """The last one that closes empties the log and removes it."""
    async with databases.opened(databases.sqlite_url(sqlite_path)) as database:
        await asyncio.gather(database.write(claim("a")), *(database.read(known("a")) for _ in range(8)))
        assert names_in(sqlite_path.parent) == {"headgate.db", "headgate.db-wal", "headgate.db-shm"}

    assert names_in(sqlite_path.parent) == {"headgate.db"}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_postgresql_connections_are_bounded_and_told_apart(postgres: databases.PostgresServer) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'headgate'"
    with postgres.migrated_database() as url:
        async with databases.opened(url, connections=3) as database:
            await asyncio.gather(*(database.write(claim(f"{number:03d}")) for number in range(30)))

            connections = await database.read(lambda uow: uow.connection.exec_driver_sql(count).scalar_one())

    assert connections == 3


async def test_what_waits_for_a_commit_is_called_after_it_and_never_without_one(database: Database) -> None:
    told: list[str] = []

    def work(name: str, error: Exception | None = None) -> Callable[[UnitOfWork], None]:
        def working(uow: UnitOfWork) -> None:
            uow.after_commit(lambda: told.append(name))
            claim(name)(uow)
            assert name not in told
            if error is not None:
                raise error

        return working

    await database.write(work("a"))
    assert told == ["a"]
    with pytest.raises(ValueError, match="no"):
        await database.write(work("b", ValueError("no")))
    several = [database.write(work("c")), database.write(work("d", ValueError("no"))), database.write(work("e"))]
    await asyncio.gather(*several, return_exceptions=True)
    assert sorted(told) == ["a", "c", "e"]
