"""What the daemon remembers of commands, of operations and of price lists."""

import asyncio
from typing import Any

import orjson
import pytest
from msgspec.structs import replace
from sqlalchemy import select

from storage.engine.database import Database
from storage.engine.failures import DataRefused, StorageConflict
from storage.journal.command_log import CommandKey, FirstAnswer
from storage.journal.ops_runs import FAILED, SUCCEEDED, NewRun
from storage.ledger.pricing_versions import PricingVersion
from storage.tables import metadata
from storage.tables.journal import ops_runs
from storage.unit_of_work import UnitOfWork
from tests.support import databases

ANSWER = FirstAnswer("hash", 201, {"job_id": "1", "nested": [1, None, "é\0"]})
KEY = CommandKey("owner", "job.create", "m1")


async def test_the_first_answer_comes_back_as_it_was(database: Database) -> None:
    await database.write(lambda uow: uow.command_log.remember(ANSWER, **KEY._asdict(), now=1))

    assert await database.read(lambda uow: uow.command_log.find(**KEY._asdict())) == ANSWER


@pytest.mark.parametrize("other", [{"caller": "another"}, {"command": "job.run"}, {"message_id": "m2"}])
async def test_a_command_is_the_same_by_caller_name_and_message(database: Database, other: dict[str, str]) -> None:
    await database.write(lambda uow: uow.command_log.remember(ANSWER, **KEY._asdict(), now=1))

    assert await database.read(lambda uow: uow.command_log.find(**(KEY._asdict() | other))) is None


async def test_many_commands_are_asked_and_remembered_at_once(database: Database) -> None:
    answers = {KEY._replace(message_id=f"m{number}"): replace(ANSWER, status=200 + number) for number in range(5)}

    await database.write(lambda uow: uow.command_log.remember_all(answers, now=1))

    asked = [*answers, KEY._replace(message_id="unknown")]
    assert await database.read(lambda uow: uow.command_log.find_all(asked)) == answers
    assert await database.read(lambda uow: uow.command_log.find_all([])) == {}
    await database.write(lambda uow: uow.command_log.remember_all({}, now=1))


async def test_of_two_daemons_that_answer_one_command_the_second_repeats(database_url: str) -> None:
    async def answer(database: Database) -> bool:
        def once(uow: UnitOfWork) -> bool:
            if uow.command_log.find(**KEY._asdict()) is not None:
                return False
            uow.command_log.remember(ANSWER, **KEY._asdict(), now=1)
            return True

        while True:
            try:
                return await database.write(once)
            except StorageConflict:
                continue

    async with databases.opened(database_url) as one, databases.opened(database_url) as two:
        assert sorted(await asyncio.gather(*map(answer, (one, two, one, two)))) == [False, False, False, True]


async def test_an_answer_to_a_command_that_was_answered_meanwhile_is_a_conflict(database: Database) -> None:
    await database.write(lambda uow: uow.command_log.remember(ANSWER, **KEY._asdict(), now=1))

    with pytest.raises(StorageConflict):
        await database.write(lambda uow: uow.command_log.remember(ANSWER, **KEY._asdict(), now=2))


RUN = NewRun("run-1", "prune", {"days": 30}, "local", "trace", "daemon-1", 5)


async def runs(database: Database) -> list[dict[str, Any]]:
    rows = await database.read(lambda uow: uow.connection.execute(select(ops_runs)).mappings().all())
    return [dict(row) for row in rows]


async def test_a_run_is_there_while_it_runs_and_ends_once(database: Database) -> None:
    await database.write(lambda uow: uow.ops_runs.start(RUN))
    (row,) = await runs(database)
    assert (row["status"], row["ended_at"], row["principal"], orjson.loads(row["parameters"])) == (
        "running",
        None,
        "local",
        {"days": 30},
    )

    assert await database.write(
        lambda uow: uow.ops_runs.finish("run-1", status=SUCCEEDED, ended_at=9, result={"removed": 3})
    )
    assert not await database.write(lambda uow: uow.ops_runs.finish("run-1", status=FAILED, ended_at=10))
    assert not await database.write(lambda uow: uow.ops_runs.finish("absent", status=FAILED, ended_at=10))

    (row,) = await runs(database)
    assert (row["status"], row["ended_at"], orjson.loads(row["result"]), row["error"]) == (
        SUCCEEDED,
        9,
        {"removed": 3},
        None,
    )


@pytest.mark.parametrize(("error", "status"), [(None, SUCCEEDED), ({"code": "FORBIDDEN"}, FAILED)])
async def test_a_run_that_is_over_is_one_row(database: Database, error: dict[str, str] | None, status: str) -> None:
    await database.write(
        lambda uow: uow.ops_runs.record(RUN, ended_at=6, result=[1], error=dict(error) if error else None)
    )

    (row,) = await runs(database)
    assert (row["status"], row["started_at"], row["ended_at"]) == (status, 5, 6)
    assert (None if row["error"] is None else orjson.loads(row["error"])) == error


async def test_a_run_id_is_used_once(database: Database) -> None:
    await database.write(lambda uow: uow.ops_runs.start(RUN))

    with pytest.raises(DataRefused):
        await database.write(lambda uow: uow.ops_runs.start(RUN))


async def test_a_price_list_stays_as_it_was_first_seen(database: Database) -> None:
    first = [PricingVersion("genai-1", "genai-prices", 1), PricingVersion("acme", "acme.toml", 2)]
    await database.write(lambda uow: uow.pricing_versions.record(first))
    await database.write(
        lambda uow: uow.pricing_versions.record(
            [PricingVersion("acme", "other.toml", 9), PricingVersion("new", "new.toml", 9)]
        )
    )
    await database.write(lambda uow: uow.pricing_versions.record([]))

    known = await database.read(lambda uow: uow.pricing_versions.known())
    assert known == {each.version: each for each in [*first, PricingVersion("new", "new.toml", 9)]}


async def test_the_unit_of_work_knows_its_schema(database: Database) -> None:
    assert await database.read(lambda uow: uow.touch_tables()) == len(metadata.tables)
    assert await database.read(lambda uow: uow.schema_revision()) is not None
