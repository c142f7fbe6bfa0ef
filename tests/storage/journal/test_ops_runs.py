"""Runs: one holder at a time, taken over once, listed newest first."""

import asyncio

import orjson
import pytest

from storage.engine.database import Database
from storage.journal.ops_runs import FAILED, SUCCEEDED, NewRun, RunFilter
from storage.unit_of_work import UnitOfWork


def run(number: int, *, operation: str = "prune", daemon: str = "one") -> NewRun:
    return NewRun(f"run-{number}", operation, {"n": number}, "ann", "t", daemon, number)


async def started(database: Database, *runs: NewRun) -> None:
    def start(uow: UnitOfWork) -> None:
        for each in runs:
            uow.ops_runs.start(each)

    await database.write(start)


async def test_a_run_is_held_by_its_daemon_until_it_ends(database: Database) -> None:
    await started(database, run(1))

    def held(uow: UnitOfWork) -> list[bool]:
        return [uow.ops_runs.is_held("run-1", daemon=daemon) for daemon in ("one", "two")]

    assert await database.write(held) == [True, False]
    await database.write(lambda uow: uow.ops_runs.finish("run-1", status=SUCCEEDED, ended_at=9, result={"a": 1}))
    assert await database.write(held) == [False, False]


async def test_one_daemon_takes_a_run_over(database: Database) -> None:
    await started(database, run(1))

    async def take(daemon: str) -> bool:
        return await database.write(lambda uow: uow.ops_runs.take_over("run-1", former="one", daemon=daemon))

    assert sorted(await asyncio.gather(take("two"), take("three"))) == [False, True]
    await database.write(lambda uow: uow.ops_runs.finish("run-1", status=FAILED, ended_at=2))
    assert not await database.write(lambda uow: uow.ops_runs.take_over("run-1", former="two", daemon="four"))


async def test_how_far_a_run_has_come_is_kept_while_it_runs(database: Database) -> None:
    await started(database, run(1))
    await database.write(lambda uow: uow.ops_runs.record_progress("run-1", {"read": 7}))
    noted = await database.read(lambda uow: uow.ops_runs.get("run-1"))
    await database.write(lambda uow: uow.ops_runs.finish("run-1", status=SUCCEEDED, ended_at=3, result={"read": 9}))
    await database.write(lambda uow: uow.ops_runs.record_progress("run-1", {"read": 8}))
    ended = await database.read(lambda uow: uow.ops_runs.get("run-1"))

    assert noted is not None
    assert ended is not None
    assert (orjson.loads(noted.result or ""), noted.status, noted.ended_at) == ({"read": 7}, "running", None)
    assert (orjson.loads(ended.result or ""), ended.status, ended.ended_at) == ({"read": 9}, "succeeded", 3)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RunFilter(), ["run-4", "run-3", "run-2", "run-1"]),
        (RunFilter(operation="backup"), ["run-4", "run-2"]),
        (RunFilter(status="running"), ["run-4", "run-3", "run-2"]),
        (RunFilter(since=3), ["run-4", "run-3"]),
        (RunFilter(run_id="run-2"), ["run-2"]),
        (RunFilter(run_id="run-2", operation="prune"), []),
    ],
)
async def test_runs_are_filtered_and_come_in_pages(database: Database, wanted: RunFilter, expected: list[str]) -> None:
    runs = [run(number, operation="backup" if number % 2 == 0 else "prune") for number in range(1, 5)]
    await started(database, *runs)
    await database.write(lambda uow: uow.ops_runs.finish("run-1", status=SUCCEEDED, ended_at=9))

    def pages(uow: UnitOfWork) -> list[str]:
        found, before = [], None
        while page := uow.ops_runs.page(wanted, before=before, limit=1):
            found += [each.run_id for each in page]
            before = (page[-1].started_at, page[-1].run_id)
        return found

    assert await database.read(pages) == expected
    running = await database.read(lambda uow: [each.run_id for each in uow.ops_runs.running()])
    assert running == ["run-2", "run-3", "run-4"]
