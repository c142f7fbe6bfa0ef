"""Failures of a SQLite file, provoked for real: locks, full disks, damage."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from storage.engine.failures import StorageAway
from storage.journal.inbox import InboxKey
from storage.unit_of_work import UnitOfWork
from tests.storage.engine.failing_work import ONE, works
from tests.support import databases
from tests.support.locks import locked
from tests.support.waiting import PATIENCE_S

REPOSITORY = Path(__file__).parents[3]


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
    async with databases.opened(databases.sqlite_url(sqlite_path), busy_timeout_ms=600_000) as database:
        with locked(sqlite_path):
            waiting = [asyncio.create_task(works(database)) for _ in range(3)]
            await asyncio.sleep(0)
            database.wait_briefly()
            async with asyncio.timeout(PATIENCE_S):
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
        timeout=180,
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
