"""Every failure of a database, provoked for real, is sorted by what to do about it."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.util import await_only

from domain.ledger.changes import PerformanceCount
from storage.engine.batches import insert_rows
from storage.engine.database import Database
from storage.engine.failures import DataRefused, StorageAway, StorageConflict, StorageError
from storage.journal.inbox import InboxKey
from storage.tables.journal import inbox
from storage.unit_of_work import UnitOfWork
from tests.support import databases
from tests.support.locks import locked

REPOSITORY = Path(__file__).parents[3]
ONE = [InboxKey("k", "a", "hash")]


async def works(database: Database) -> bool:
    """Whether a write goes through, and leaves no trace."""

    def claim(uow: UnitOfWork) -> bool:
        uow.inbox.claim([InboxKey("k", "probe", "hash")], now=1)
        uow.inbox.release([("k", "probe")])
        return True

    return await database.write(claim)


def execute(statement: str, **parameters: object) -> Callable[[UnitOfWork], None]:
    def run(uow: UnitOfWork) -> None:
        uow.connection.execute(text(statement), parameters)

    return run


def insert_inbox(**values: object) -> Callable[[UnitOfWork], None]:
    row = {"kind": "k", "message_id": "a", "payload_hash": "hash", "received_at": 1} | values

    def run(uow: UnitOfWork) -> None:
        uow.connection.execute(insert(inbox), row)

    return run


def twice(work: Callable[[UnitOfWork], None]) -> Callable[[UnitOfWork], None]:
    def run(uow: UnitOfWork) -> None:
        work(uow)
        work(uow)

    return run


def counts(**values: object) -> Callable[[UnitOfWork], None]:
    row = {"day": "2026-11-20", "agent": "a", "model": "m", "bucket": 1, "requests": 1, "errors": 0} | values

    def run(uow: UnitOfWork) -> None:
        uow.performance.add([PerformanceCount(**row)])  # type: ignore[arg-type]  # wrong on purpose

    return run


REFUSED_BY_BOTH = {
    "a key that exists": twice(insert_inbox()),
    "a value that is missing": insert_inbox(payload_hash=None),
    "an integer beyond 64 bits": insert_inbox(received_at=2**63),
    "a lone surrogate": insert_inbox(kind="\ud800"),
    "an integer beyond 64 bits in a batch": counts(requests=2**64),
    "a lone surrogate in a batch": counts(agent="\ud800"),
    "U+0000 in a batch": counts(agent="a\0b"),
    "a word for a number in a batch": counts(requests="many"),
    "a missing value in a batch": counts(agent=None),
    "what is not JSON": lambda uow: uow.connection.execute(
        insert_rows(uow.connection.dialect.name, inbox, ["kind"]), {"rows": "{"}
    ),
}


@pytest.mark.parametrize("work", REFUSED_BY_BOTH.values(), ids=REFUSED_BY_BOTH.keys())
async def test_what_the_data_causes_is_refused(database: Database, work: Callable[[UnitOfWork], None]) -> None:
    with pytest.raises(DataRefused) as caught:
        await database.write(work)

    assert await works(database)
    assert caught.value.__cause__ is None, "the driver's words may quote the data, and logs print causes"


async def test_a_refusal_names_the_rule_and_no_value(database: Database) -> None:
    with pytest.raises(DataRefused) as caught:
        await database.write(twice(insert_inbox(message_id="my-secret")))

    assert "inbox" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_what_the_work_raises_comes_through_as_it_is_and_undoes_the_work(database: Database) -> None:
    """An ``OSError`` of the work itself is its own bug: taken for an outage, it would be repeated for ever."""
    for mine in (OSError("my file"), ValueError("my value"), TimeoutError("my time"), KeyError("mine")):

        def work(uow: UnitOfWork, mine: Exception = mine) -> None:
            uow.inbox.claim(ONE, now=1)
            raise mine

        with pytest.raises(type(mine)) as caught:
            await database.write(work)
        assert caught.value.args == mine.args
    assert await database.read(lambda uow: uow.inbox.known([("k", "a")])) == {}


async def test_out_of_memory_is_no_messages_fault(database: Database) -> None:
    def work(_uow: UnitOfWork) -> None:
        raise MemoryError

    with pytest.raises(StorageAway):
        await database.write(work)
    assert await works(database)


async def test_a_table_that_is_gone_is_no_messages_fault(database: Database) -> None:
    with pytest.raises(StorageAway, match="nowhere"):
        await database.write(execute("INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(StorageAway, match="absent"):
        await database.write(execute("SELECT absent FROM inbox"))
    assert await works(database)


async def test_a_column_that_is_gone_is_no_messages_fault(database: Database) -> None:
    await database.write(execute("ALTER TABLE inbox RENAME COLUMN payload_hash TO newer"))
    with pytest.raises(StorageAway, match="payload_hash"):
        await database.write(insert_inbox())


async def test_a_column_that_a_newer_version_demands_is_no_messages_fault(database: Database) -> None:
    if database.dialect == "sqlite":
        for statement in (
            "CREATE TABLE other AS SELECT * FROM inbox",
            "ALTER TABLE other ADD COLUMN newer TEXT NOT NULL DEFAULT NULL",
            "DROP TABLE inbox",
            "ALTER TABLE other RENAME TO inbox",
        ):
            await database.write(execute(statement))
    else:
        await database.write(execute("ALTER TABLE inbox ADD COLUMN newer TEXT NOT NULL"))
    with pytest.raises(StorageAway, match=r"inbox\.newer is wanted, which this program does not know"):
        await database.write(insert_inbox())


async def test_a_reader_that_writes_is_stopped(database: Database) -> None:
    with pytest.raises(StorageError):
        await database.read(lambda uow: uow.inbox.claim(ONE, now=1))

    assert await database.read(lambda uow: uow.inbox.known([("k", "a")])) == {}


async def test_a_closed_database_is_away_and_closing_twice_is_fine(database: Database) -> None:
    await works(database)
    await database.close()
    await database.close()

    for verb in (database.write, database.read):
        with pytest.raises(StorageAway, match="closed"):
            await verb(lambda uow: uow.schema_revision())


# SQLite


@pytest.fixture
def sqlite_path(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(str(make_url(databases.sqlite_copy(sqlite_template, tmp_path)).database))


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("free", flush=True)
"""


async def test_a_file_locked_by_another_process_is_away_until_it_is_free(sqlite_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(sqlite_path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert await holder.stdout.readline() == b"locked\n"
    async with databases.opened(databases.sqlite_url(sqlite_path), busy_timeout_ms=50) as database:
        for _ in range(2):
            with pytest.raises(StorageAway, match="SQLITE_BUSY"):
                await works(database)
        assert await database.read(lambda uow: uow.inbox.known([("k", "a")])) == {}, "readers wait for no writer"

        holder.stdin.write(b"go\n")
        assert await holder.stdout.readline() == b"free\n"
        assert await works(database)
    await holder.wait()


async def test_at_the_stop_what_another_process_holds_is_not_waited_for(sqlite_path: Path) -> None:
    async with databases.opened(databases.sqlite_url(sqlite_path), busy_timeout_ms=60_000) as database:
        with locked(sqlite_path):
            waiting = [asyncio.create_task(works(database)) for _ in range(3)]
            await asyncio.sleep(0)
            database.wait_briefly()
            async with asyncio.timeout(30):
                outcomes = await asyncio.gather(*waiting, works(database), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StorageAway] * 4
        assert await works(database)


async def test_a_full_file_is_away_and_takes_writes_again_when_there_is_room(sqlite_path: Path) -> None:
    def fill(uow: UnitOfWork) -> None:
        uow.connection.exec_driver_sql("PRAGMA max_page_count = 1")
        uow.inbox.claim([InboxKey("k", f"{number:05d}", "x" * 500) for number in range(2_000)], now=1)

    async with databases.opened(databases.sqlite_url(sqlite_path)) as database:
        with pytest.raises(StorageAway, match="SQLITE_FULL"):
            await database.write(fill)
        assert await works(database)
        assert await database.read(lambda uow: uow.inbox.known([("k", "00001")])) == {}


def test_a_disk_that_takes_no_more_is_away(sqlite_path: Path) -> None:
    """The operating system refuses to let the file grow."""
    script = (
        "import asyncio, resource, signal, sys\n"
        "from storage.engine.failures import StorageAway\n"
        "from storage.journal.inbox import InboxKey\n"
        "from tests.support.databases import opened\n"
        "keys = [InboxKey('k', f'{number:05d}', 'x' * 500) for number in range(2_000)]\n"
        "async def main():\n"
        "    async with opened(sys.argv[1]) as database:\n"
        "        await database.write(lambda uow: uow.inbox.claim(keys[:1], now=1))\n"
        "        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))\n"
        "        try:\n"
        "            await database.write(lambda uow: uow.inbox.claim(keys[1:], now=1))\n"
        "        except StorageAway as away:\n"
        "            print(str(away).split(':')[0])\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))\n"
        "        known = await database.write(lambda uow: uow.inbox.claim(keys, now=1))\n"
        "        print(len(known))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, databases.sqlite_url(sqlite_path)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    code, known = ran.stdout.split()
    assert code in {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}
    assert known == "1", "what was not committed left nothing, and the rest went in when there was room"


async def test_a_database_that_may_not_be_written_is_away(sqlite_path: Path) -> None:
    def lose_the_right(uow: UnitOfWork) -> None:
        uow.connection.exec_driver_sql("PRAGMA query_only = on")
        uow.inbox.claim(ONE, now=1)

    async with databases.opened(databases.sqlite_url(sqlite_path)) as database:
        with pytest.raises(StorageAway, match="SQLITE_READONLY"):
            await database.write(lose_the_right)
        assert await works(database)


@pytest.fixture
def damaged(sqlite_path: Path) -> Path:
    """A database with a few hundred keys, of which all pages but the first hold noise."""
    with closing(sqlite3.connect(sqlite_path)) as connection, connection:
        rows = [("k", f"{number:05d}", "x" * 500, 1) for number in range(500)]
        connection.executemany("INSERT INTO inbox VALUES (?, ?, ?, ?)", rows)
    content = sqlite_path.read_bytes()
    sqlite_path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    return sqlite_path


async def test_a_damaged_file_is_away(damaged: Path) -> None:
    async with databases.opened(databases.sqlite_url(damaged)) as database:
        with pytest.raises(StorageAway, match="SQLITE_CORRUPT"):
            await database.read(lambda uow: uow.inbox.known([("k", "00001")]))


# PostgreSQL


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
        async with databases.opened(url) as one, databases.opened(url, busy_timeout_ms=50) as two:
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
        async with databases.opened(url, busy_timeout_ms=1_000, connections=1) as database:
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
        async with databases.opened(url, busy_timeout_ms=1_000) as database:
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
