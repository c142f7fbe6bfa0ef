"""SQLite's writer: what queues while a transaction runs shares the next one, and each unit of work stays whole."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from storage.engine.database import Database
from storage.engine.failures import DataRefused, StorageAway
from storage.journal.inbox import InboxKey
from storage.unit_of_work import UnitOfWork
from tests.support import databases


@pytest.fixture
async def database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    async with databases.opened(databases.sqlite_copy(sqlite_template, tmp_path)) as database:
        yield database


def claim(name: str) -> Callable[[UnitOfWork], str]:
    def work(uow: UnitOfWork) -> str:
        uow.inbox.claim([InboxKey("k", name, "hash")], now=1)
        return name

    return work


def claim_and_raise(name: str, error: Exception) -> Callable[[UnitOfWork], str]:
    def work(uow: UnitOfWork) -> str:
        claim(name)(uow)
        raise error

    return work


async def stored(database: Database) -> set[str]:
    names = [("k", name) for name in "abcdefgh"]
    return await database.read(lambda uow: {name for _, name in uow.inbox.known(names)})


@asynccontextmanager
async def busy(database: Database) -> AsyncIterator[None]:
    """The writer is held inside a transaction: whatever is asked for within the block queues."""
    holds, go_on = threading.Event(), threading.Event()

    def hold(_uow: UnitOfWork) -> None:
        holds.set()
        assert go_on.wait(60)

    holding = asyncio.ensure_future(database.write(hold))
    assert await asyncio.to_thread(holds.wait, 60)
    try:
        yield
    finally:
        go_on.set()
    await holding


@contextmanager
def commits() -> Iterator[list[None]]:
    counted: list[None] = []

    def count(_connection: object) -> None:
        counted.append(None)

    event.listen(Engine, "commit", count)
    try:
        yield counted
    finally:
        event.remove(Engine, "commit", count)


async def queued(database: Database, *works: Callable[[UnitOfWork], str]) -> list[str | BaseException]:
    """What each of *works* came to, all of them having waited for the writer together."""
    async with busy(database):
        asked = [asyncio.ensure_future(database.write(work)) for work in works]
        await asyncio.sleep(0)
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_what_queues_while_a_transaction_runs_shares_one_commit(database: Database) -> None:
    await database.write(claim("a"))
    with commits() as counted:
        assert await queued(database, *map(claim, "bcdef")) == list("bcdef")
    assert len(counted) == 2  # the one that held the writer, and that of all others
    assert await stored(database) == set("abcdef")


async def test_one_that_fails_leaves_no_trace_and_its_neighbours_whole(database: Database) -> None:
    before, failed, after = await queued(database, claim("b"), claim_and_raise("c", LookupError("mine")), claim("d"))
    assert (before, after) == ("b", "d")
    assert isinstance(failed, LookupError)
    assert await stored(database) == {"b", "d"}


async def test_what_a_unit_notes_is_that_of_its_last_run(database: Database) -> None:
    """Where a neighbour fails all run once more: nothing is told twice, and what is called after a commit, once."""
    told: list[str] = []

    def noting(uow: UnitOfWork) -> str:
        uow.after_commit(lambda: told.append("b"))
        return claim("b")(uow)

    taken, failed = await queued(database, noting, claim_and_raise("c", LookupError("mine")))
    assert taken == "b"
    assert isinstance(failed, LookupError)
    assert told == ["b"]


async def test_one_with_a_delay_shares_the_transaction_of_the_next(database: Database) -> None:
    await database.write(claim("c"))
    with commits() as counted:
        delayed = asyncio.ensure_future(database.write(claim("a"), commit_delay_s=60))
        await asyncio.sleep(0)
        assert await database.write(claim("b")) == "b"
        assert await delayed == "a"
    assert len(counted) == 1
    assert await stored(database) == {"a", "b", "c"}


async def test_nobody_waits_where_nobody_else_comes(database: Database) -> None:
    assert await asyncio.wait_for(database.write(claim("a"), commit_delay_s=600), 60) == "a"
    assert await stored(database) == {"a"}


async def test_the_delay_has_an_end(database: Database) -> None:
    await database.write(claim("b"))
    assert await database.write(claim("a"), commit_delay_s=0.01) == "a"
    assert await stored(database) == {"a", "b"}


async def test_any_number_of_delayed_ones_holds_nobody_up(database: Database) -> None:
    def record(number: int) -> Callable[[UnitOfWork], int]:
        def work(uow: UnitOfWork) -> int:
            uow.inbox.claim([InboxKey("k", f"{number}", "hash")], now=1)
            return number

        return work

    await database.write(claim("b"))
    delayed = [asyncio.ensure_future(database.write(record(number), commit_delay_s=60)) for number in range(40)]
    await asyncio.sleep(0)
    assert await database.write(claim("a")) == "a"
    assert await asyncio.gather(*delayed) == list(range(40))


async def test_one_that_is_delayed_and_fails_touches_no_neighbour(database: Database) -> None:
    await database.write(claim("c"))
    delayed = asyncio.ensure_future(database.write(claim_and_raise("a", LookupError("mine")), commit_delay_s=60))
    await asyncio.sleep(0)
    assert await database.write(claim("b")) == "b"
    with pytest.raises(LookupError):
        await delayed
    assert await stored(database) == {"b", "c"}


async def test_one_that_is_delayed_is_written_before_the_database_closes(sqlite_template: Path, tmp_path: Path) -> None:
    path = databases.sqlite_copy(sqlite_template, tmp_path)
    async with databases.opened(path) as database:
        await database.write(claim("b"))
        delayed = asyncio.ensure_future(database.write(claim("a"), commit_delay_s=60))
        await asyncio.sleep(0)
    assert await delayed == "a"
    async with databases.opened(path) as database:
        assert await stored(database) == {"a", "b"}


async def test_a_delayed_one_whose_caller_went_away_is_dropped(database: Database) -> None:
    await database.write(claim("c"))
    delayed = asyncio.ensure_future(database.write(claim("a"), commit_delay_s=60))
    await asyncio.sleep(0)
    delayed.cancel()
    await asyncio.wait([delayed])
    assert await database.write(claim("b")) == "b"
    assert await stored(database) == {"b", "c"}


async def test_data_that_is_refused_fails_its_own_unit_only(database: Database) -> None:
    def twice(uow: UnitOfWork) -> str:
        claim("c")(uow)
        uow.inbox.claim([InboxKey("k", "d\0", "hash")], now=1)
        return "d"

    refused, taken = await queued(database, twice, claim("e"))
    assert isinstance(refused, DataRefused)
    assert refused.__cause__ is None  # the driver's words may quote the data
    assert taken == "e"
    assert await stored(database) == {"e"}


async def test_storage_away_in_the_middle_is_told_to_all_and_nothing_is_kept(database: Database) -> None:
    works = [claim("b"), claim_and_raise("c", StorageAway("disk full")), claim("d")]
    outcomes = await queued(database, *works)
    assert [type(outcome) for outcome in outcomes] == [StorageAway] * 3
    assert await stored(database) == set()
    assert await database.write(claim("e")) == "e"
    assert await stored(database) == {"e"}


async def test_one_whose_caller_went_away_while_it_queued_is_dropped(database: Database) -> None:
    async with busy(database):
        leaving, staying = (asyncio.ensure_future(database.write(claim(name))) for name in "bc")
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
    assert await staying == "c"
    assert await stored(database) == {"c"}
