"""Failures of a PostgreSQL server, provoked for real: conflicts, locks, ends of connections and of the server."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.util import await_only

from storage.engine.failures import StorageAway, StorageConflict
from storage.unit_of_work import UnitOfWork
from tests.storage.engine.failing_work import ONE, execute, insert_inbox, works
from tests.support import databases

REPOSITORY = Path(__file__).parents[3]


class Meeting:
    """Two units of work that wait for each other half way."""

    def __init__(self) -> None:
        self._arrived = 0
        self._both = asyncio.Event()

    def wait(self) -> None:
        self._arrived += 1
        if self._arrived == 2:
            self._both.set()
        await_only(self._both.wait())


def patient(url: str) -> str:
    """Waits for a connection to the server, however little it waits for all else."""
    return make_url(url).update_query_dict({"connect_timeout": "60"}).render_as_string(hide_password=False)


async def outcomes(*writes: asyncio.Future[None]) -> list[type[BaseException] | None]:
    results = await asyncio.gather(*writes, return_exceptions=True)
    return sorted((None if result is None else type(result) for result in results), key=str)


async def test_a_deadlock_between_two_daemons_is_a_conflict_for_one_of_them(
    postgres: databases.PostgresServer,
) -> None:
    with postgres.migrated_database() as url:
        async with databases.opened(url) as one, databases.opened(url) as two:
            for message_id in ("a", "b"):
                await one.write(insert_inbox(message_id=message_id))
            meeting = Meeting()

            def lock(*message_ids: str) -> Callable[[UnitOfWork], None]:
                def work(uow: UnitOfWork) -> None:
                    touch = "UPDATE inbox SET received_at = 2 WHERE message_id = :id"
                    uow.connection.execute(text(touch), {"id": message_ids[0]})
                    meeting.wait()
                    uow.connection.execute(text(touch), {"id": message_ids[1]})

                return work

            ended = await outcomes(
                asyncio.ensure_future(one.write(lock("a", "b"))), asyncio.ensure_future(two.write(lock("b", "a")))
            )

            assert ended == [StorageConflict, None]
            assert await works(one)
            assert await works(two)


async def test_a_serialization_failure_is_a_conflict(postgres: databases.PostgresServer) -> None:
    with postgres.migrated_database() as url:
        async with databases.opened(url) as one, databases.opened(url) as two:
            await one.write(insert_inbox())
            meeting = Meeting()

            def work(uow: UnitOfWork) -> None:
                uow.connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                uow.inbox.known([("k", "a")])
                meeting.wait()
                uow.connection.execute(text("UPDATE inbox SET received_at = received_at + 1"))

            ended = await outcomes(asyncio.ensure_future(one.write(work)), asyncio.ensure_future(two.write(work)))

            assert ended == [StorageConflict, None]


async def test_a_plan_that_another_daemons_migration_made_stale_is_a_conflict(
    postgres: databases.PostgresServer,
) -> None:
    everything = execute("SELECT * FROM inbox")
    with postgres.migrated_database() as url:
        async with databases.opened(url, connections=1) as database:
            await database.write(everything)
            postgres.execute("ALTER TABLE inbox ADD COLUMN more TEXT", str(make_url(url).database))

            with pytest.raises(StorageConflict):
                await database.write(everything)
            await database.write(everything)


async def test_a_lock_that_is_held_for_too_long_is_away(postgres: databases.PostgresServer) -> None:
    with postgres.migrated_database() as url:
        async with databases.opened(url) as one, databases.opened(patient(url), busy_timeout_ms=50) as two:
            may_end, holds = asyncio.Event(), asyncio.Event()

            def hold(uow: UnitOfWork) -> None:
                uow.inbox.claim(ONE, now=1)
                holds.set()
                await_only(may_end.wait())

            holder = asyncio.ensure_future(one.write(hold))
            await holds.wait()
            with pytest.raises(StorageAway, match="55P03"):
                await two.write(lambda uow: uow.inbox.claim(ONE, now=1))
            may_end.set()
            await holder
            assert await works(two)


ENDED_BY_THE_SERVER = {
    "a connection that is ended": "SELECT pg_terminate_backend(pg_backend_pid())",
    "a statement that is cancelled": "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(10)",
    "a server that only reads": "SET TRANSACTION READ ONLY",
    "a right that is taken away": "SET LOCAL ROLE pg_monitor",
    "a disk that is full": "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '53100'; END $$",
    "a page that is damaged": "DO $$ BEGIN RAISE EXCEPTION SQLSTATE 'XX001'; END $$",
}


@pytest.mark.parametrize("statement", ENDED_BY_THE_SERVER.values(), ids=ENDED_BY_THE_SERVER.keys())
async def test_what_the_server_itself_cannot_do_is_away(postgres: databases.PostgresServer, statement: str) -> None:
    def work(uow: UnitOfWork) -> None:
        uow.connection.execute(text(statement))
        uow.inbox.claim(ONE, now=1)

    with postgres.migrated_database() as url:
        async with databases.opened(url, connections=1) as database:
            with pytest.raises(StorageAway):
                await database.write(work)
            assert await works(database)


async def test_a_pool_without_a_free_connection_is_away(postgres: databases.PostgresServer) -> None:
    with postgres.migrated_database() as url:
        async with databases.opened(patient(url), busy_timeout_ms=1_000, connections=1) as database:
            may_end, holds = asyncio.Event(), asyncio.Event()

            def hold(_uow: UnitOfWork) -> None:
                holds.set()
                await_only(may_end.wait())

            holder = asyncio.ensure_future(database.write(hold))
            await holds.wait()
            with pytest.raises(StorageAway):
                await works(database)
            may_end.set()
            await holder
            assert await works(database)


@pytest.mark.slow
async def test_a_server_that_stops_is_away_and_back_by_itself() -> None:
    with databases.postgres_server() as server, server.migrated_database() as url:
        async with databases.opened(url) as database:
            assert all(await asyncio.gather(*(works(database) for _ in range(4)))), (
                "every connection of the pool is open"
            )

            def cut_off(uow: UnitOfWork) -> None:
                uow.inbox.claim(ONE, now=1)
                server.stop()
                uow.inbox.known([("k", "a")])

            with pytest.raises(StorageAway):
                await database.write(cut_off)
            for _ in range(3):
                with pytest.raises(StorageAway):
                    await works(database)

            server.start()
            assert all(await asyncio.gather(*(works(database) for _ in range(4))))
            assert await database.read(lambda uow: uow.inbox.known([("k", "a")])) == {}


async def test_connections_that_were_lost_while_nobody_used_them_cost_no_failure() -> None:
    """A server that was restarted over night: the first writer in the morning does not notice."""
    with databases.postgres_server() as server, server.migrated_database() as url:
        async with databases.opened(url) as database:
            assert all(await asyncio.gather(*(works(database) for _ in range(4))))

            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)

            assert all(await asyncio.gather(*(works(database) for _ in range(4))))
