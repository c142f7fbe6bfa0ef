"""Operations that the daemon starts by itself: when due, once among several daemons, made up for after a stop."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from contracts.values.principals import SYSTEM
from daemon.maintenance.scheduled_runs import Schedule, ScheduledRuns
from daemon.runs.runs import Runs
from handlers.effects import Context
from storage.engine.database import Database
from storage.journal.ops_runs import FAILED, SUCCEEDED, Run, RunFilter
from storage.ledger.pricing_versions import PricingVersion
from tests.daemon.operations.operating import operating, until
from tests.handlers.deciding import context
from tests.support.daemons import running_daemon

HOUR = 3_600_000_000
FIRST_START = 1_000 * HOUR


class Clock:
    def __init__(self) -> None:
        self.hours = 0.0

    def context(self, daemon: str) -> Context:
        return replace(context(now=FIRST_START + round(self.hours * HOUR)), daemon_id=daemon)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def scheduled(database: Database, clock: Clock, daemon: str = "one", every_h: float = 24) -> ScheduledRuns:
    runs = Runs(database, daemon_id=daemon, clock=lambda: clock.context(daemon).now)
    schedules = [Schedule("prune", every_h), Schedule("backup", 0)]
    return ScheduledRuns(database, schedules, runs=runs, context=lambda: clock.context(daemon))


async def started(database: Database) -> list[Run]:
    wanted = RunFilter(operation="prune")
    return list(reversed(await database.read(lambda uow: uow.ops_runs.page(wanted, before=None, limit=100))))


async def end(database: Database, clock: Clock, status: str) -> None:
    run = (await started(database))[-1]
    now = clock.context("one").now
    await database.write(lambda uow: uow.ops_runs.finish(run.run_id, status=status, ended_at=now))


@pytest.fixture
async def begun(database: Database) -> Database:
    await database.write(lambda uow: uow.pricing_versions.record([PricingVersion("v", "list", FIRST_START)]))
    return database


async def test_a_run_of_the_system_begins_every_so_many_hours(begun: Database, clock: Clock) -> None:
    loop = scheduled(begun, clock)
    for clock.hours in (0, 23, 24, 24.5, 47, 48.5, 72, 72.5):
        await loop.step()
        if len(await started(begun)):
            await end(begun, clock, SUCCEEDED)

    runs = await started(begun)
    assert [(run.started_at - FIRST_START) / HOUR for run in runs] == [24, 48.5, 72.5]
    assert {run.principal for run in runs} == {SYSTEM}


async def test_what_was_missed_is_made_up_for_once(begun: Database, clock: Clock) -> None:
    clock.hours = 1_000
    for daemon in ("one", "one", "another"):
        await scheduled(begun, clock, daemon).step()

    assert len(await started(begun)) == 1


async def test_of_daemons_that_look_at_once_one_begins_the_run(begun: Database, clock: Clock) -> None:
    clock.hours = 30

    await asyncio.gather(*(scheduled(begun, clock, f"daemon-{number}").step() for number in range(8)))

    assert len(await started(begun)) == 1


async def test_a_run_that_failed_is_tried_again_within_the_hour(begun: Database, clock: Clock) -> None:
    clock.hours = 24
    await scheduled(begun, clock).step()
    await end(begun, clock, FAILED)
    for clock.hours in (24.5, 25):
        await scheduled(begun, clock).step()

    assert [(run.started_at - FIRST_START) / HOUR for run in await started(begun)] == [24, 25]


@pytest.mark.process
async def test_the_daemon_prunes_and_copies_by_itself(tmp_path: Path) -> None:
    settings = "[retention]\nevery_h = 0.0005\n\n[backup]\nevery_h = 0.0005\nkeep = 2\n"
    with running_daemon(tmp_path / "home", settings) as daemon:
        async with operating(daemon) as operator:

            async def has_run(operation: str) -> bool:
                asked = {"operation": operation, "status": "succeeded"}
                items = (await operator.ask("runs", asked))["result"]["items"]
                return len(items) >= 3 and {item["principal"] for item in items} == {SYSTEM}

            await until(lambda: has_run("prune"))
            await until(lambda: has_run("backup"))
