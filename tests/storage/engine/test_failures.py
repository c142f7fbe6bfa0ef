"""Every failure of a database, provoked for real, is sorted by what to do about it: what both databases have."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.engine.batches import insert_rows
from storage.engine.database import Database
from storage.engine.failures import DataRefused, StorageAway, StorageError
from storage.tables.journal import inbox
from storage.unit_of_work import UnitOfWork
from tests.storage.engine.failing_work import ONE, counts, execute, insert_inbox, twice, works

REPOSITORY = Path(__file__).parents[3]


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


@pytest.mark.parametrize("missing", [MemoryError(), OSError(errno.EMFILE, "Too many open files", "late.py")], ids=repr)
async def test_memory_or_a_descriptor_that_is_not_there_is_no_messages_fault(
    database: Database, missing: Exception
) -> None:
    """A module that is loaded when it is used first needs a descriptor."""

    def work(_uow: UnitOfWork) -> None:
        raise missing

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
