"""The database file that is open is the file at its path, or nothing is committed."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.engine.backup import copy_database
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.journal.inbox import InboxKey
from storage.unit_of_work import UnitOfWork
from tests.support import databases


@pytest.fixture
def path(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "headgate.db"))


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with databases.opened(databases.sqlite_url(path)) as database:
        await database.write(claim)
        yield database


def claim(uow: UnitOfWork) -> None:
    uow.inbox.claim([InboxKey("k", "m", "hash")], now=1)


def remove(path: Path) -> None:
    path.unlink()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def is_known(uow: UnitOfWork) -> bool:
    return bool(uow.inbox.known([("k", "m")]))


@pytest.fixture(params=[("",), ("-wal",), ("", "-wal", "-shm")])
def removed(database: Database, path: Path, request: pytest.FixtureRequest) -> None:
    for end in request.param:
        remove(path.with_name(path.name + end))


async def test_nothing_is_committed_to_a_file_that_was_removed(database: Database, path: Path, removed: None) -> None:
    for _ in range(2):
        with pytest.raises(StorageAway, match="removed or replaced"):
            await database.write(claim)


async def test_no_file_is_made_in_the_place_of_one_that_was_removed(database: Database, path: Path) -> None:
    remove(path)

    with pytest.raises(StorageAway, match="removed or replaced"):
        await database.read(is_known)
    assert path.name not in names_in(path.parent)


async def test_nothing_is_committed_while_another_file_is_in_the_place(
    database: Database, path: Path, sqlite_template: Path
) -> None:
    shutil.move(path, path.with_name("away.db"))
    shutil.copy(sqlite_template, path)

    with pytest.raises(StorageAway, match="removed or replaced"):
        await database.write(claim)

    shutil.move(path.with_name("away.db"), path)
    await database.write(claim)
    assert await database.read(is_known)


async def test_a_copy_that_is_not_wanted_any_more_ends_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    copying = asyncio.ensure_future(copy_database(databases.sqlite_url(path), tmp_path / "copies" / "copy.db"))
    await asyncio.sleep(0)

    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert names_in(tmp_path / "copies") == set()
