"""Many commands in one transaction, and the same command again and again: one effect, and the first answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Table, func, select

from adapters.cancellation import cancel_and_wait
from contracts.errors import ErrorCode, problem
from daemon.commands.command_batcher import ChangeQueue
from handlers.commands.command import Command, Reply, refuse
from handlers.commands.command_batch import ChangeHandler, Changes, CommandBatch, execute_commands
from handlers.registry import CHANGES
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.tables.jobs import job_events, projects
from storage.tables.journal import command_log
from storage.tables.work import work
from storage.unit_of_work import UnitOfWork
from tests.handlers.deciding import rows
from tests.handlers.jobs.owners import House, code, command, report, result
from tests.support import statements
from tests.support.databases import opened

UNAVAILABLE = refuse(problem(ErrorCode.UNAVAILABLE, "away"))
BROKEN = refuse(problem(ErrorCode.INTERNAL_ERROR, "broken"))


@dataclass
class Asked:
    command: Command
    answered: "asyncio.Future[Reply]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@asynccontextmanager
async def queue(
    database: Database, changes: Changes = CHANGES, after: Callable[[object], None] = lambda _committed: None
) -> AsyncIterator[Callable[[Command], Awaitable[Reply]]]:
    """A daemon's queue of changes; what it is given is answered as it would be over the wire."""
    house = House(database)

    async def answer(asked: Asked, reply: Reply) -> None:
        asked.answered.set_result(reply)
        after(reply)

    running = ChangeQueue[Asked](
        database=database,
        changes=changes,
        context=house.context,
        wake=after,
        count=after,
        answer=answer,
        unavailable=UNAVAILABLE,
        broken=lambda _command, _error: BROKEN,
    )
    task = asyncio.create_task(running.run())

    async def give(given: Command) -> Reply:
        asked = Asked(given)
        running.put(asked)
        return await asked.answered

    try:
        yield give
    finally:
        await cancel_and_wait([task])


@asynccontextmanager
async def daemons(url: str, how_many: int = 2) -> AsyncIterator[Sequence[Callable[[Command], Awaitable[Reply]]]]:
    """Several daemons' queues over one database, each with connections of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(queue(await stack.enter_async_context(opened(url))))
            for _ in range(how_many)
        ]


async def test_what_fails_after_the_commit_neither_undoes_it_nor_ends_the_queue(database: Database) -> None:
    def broken(committed: object) -> None:
        raise KeyError(f"a metric for {committed} that nobody declared")

    async with queue(database, after=broken) as give:
        replies = [await give(command("project.create", {"name": name}, message_id=name)) for name in ("a", "b")]

    assert [reply.status for reply in replies] == [201, 201]
    assert await count(database, projects) == 2


async def count(database: Database, table: Table) -> int:
    (row,) = await rows(database, select(func.count().label("how_many")).select_from(table))
    return int(row["how_many"])


async def test_fifty_identical_commands_at_once_have_one_effect(database: Database, database_url: str) -> None:
    async with daemons(database_url) as give:
        same = [command("project.create", {"name": "One"}, message_id="m-1") for _ in range(50)]

        replies = await asyncio.gather(*(give[at % 2](each) for at, each in enumerate(same)))

    assert await count(database, projects) == 1
    assert await count(database, command_log) == 1
    assert len({result(reply)["project_id"] for reply in replies}) == 1
    assert sorted((reply.status, reply.replayed) for reply in replies) == [(200, True)] * 49 + [(201, False)]


async def test_of_fifty_conflicting_commands_at_once_one_takes_effect(database: Database, database_url: str) -> None:
    async with daemons(database_url) as give:
        others = [command("project.create", {"name": f"Number {at}"}, message_id="m-1") for at in range(50)]

        replies = await asyncio.gather(*(give[at % 2](each) for at, each in enumerate(others)))

    (kept,) = await rows(database, select(projects))
    taken = [reply for reply in replies if reply.problem is None]
    assert [result(reply)["name"] for reply in taken] == [kept["name"]]
    assert {code(reply) for reply in replies if reply.problem is not None} == {ErrorCode.IDEMPOTENCY_CONFLICT}
    refused = {str(reply.problem.as_json()) for reply in replies if reply.problem is not None}
    assert len(refused) == 1
    assert kept["name"] not in refused.pop()


async def test_fifty_runs_of_one_job_dispatch_it_once(database: Database, database_url: str) -> None:
    house = House(database)
    job_id = await house.job()
    async with daemons(database_url) as give:
        runs = [command("job.run", {"job_id": job_id}) for _ in range(50)]

        replies = await asyncio.gather(*(give[at % 2](each) for at, each in enumerate(runs)))

    assert sorted(reply.status for reply in replies) == [200] * 49 + [202]
    assert await count(database, work) == 1
    assert (await house.view(job_id))["version"] == 3


async def test_fifty_retries_of_one_job_make_one_new_job(database: Database, database_url: str) -> None:
    house = House(database)
    job_id = await house.running()
    assert (await house.report(job_id, 1, "FAILED")).error is None
    async with daemons(database_url) as give:
        retries = [command("job.retry", {"job_id": job_id}) for _ in range(50)]

        replies = await asyncio.gather(*(give[at % 2](each) for at, each in enumerate(retries)))

    assert sorted(reply.status for reply in replies) == [200] * 49 + [202]
    assert len({result(reply)["job_id"] for reply in replies}) == 1


async def _awaited(reply: Awaitable[Reply]) -> Reply:
    return await reply


async def test_cancelling_and_reporting_at_once_end_in_an_order(database: Database, database_url: str) -> None:
    """Whoever comes first, the versions count on without a gap and every transition is recorded once."""
    house = House(database)
    ids = [await house.running() for _ in range(10)]
    async with daemons(database_url) as give:
        reports = [house.delivery(job_id, report(1, "TRANSCRIBING")) for job_id in ids]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(house.decide_batch(reports))
            cancels = [
                tasks.create_task(_awaited(give[at % 2](command("job.cancel", {"job_id": job_id}))))
                for at, job_id in enumerate(ids)
            ]
    replies = [task.result() for task in cancels]

    assert [reply.status for reply in replies] == [200] * 10
    for job_id in ids:
        events = await rows(database, select(job_events).where(job_events.c.job_id == job_id).order_by("version"))
        assert [event["version"] for event in events] == list(range(2, len(events) + 2))
        assert events[-1]["to_state"] == (await house.view(job_id))["status"] == "CANCELLED"


async def test_a_command_is_replayed_with_its_first_answer_whatever_happened_since(database: Database) -> None:
    house = House(database)
    job_id = await house.job()
    first = await house.give("job.run", {"job_id": job_id}, message_id="m-1")
    await house.give("job.cancel", {"job_id": job_id})

    again = await house.give("job.run", {"job_id": job_id}, message_id="m-1")
    other = await house.give("job.run", {"job_id": "another"}, message_id="m-1")

    assert (again.status, again.replayed, again.result) == (200, True, first.result)
    assert code(other) is ErrorCode.IDEMPOTENCY_CONFLICT


async def test_the_same_id_of_another_caller_or_command_is_another_command(database: Database) -> None:
    house = House(database)
    project_id = await house.project()

    bob = await house.give("project.create", {"name": "p"}, owner="bob", message_id="m-1")
    ada = await house.give("project.create", {"name": "p"}, message_id="m-1")
    job = await house.give("job.create", {"project_id": project_id, "title": "t"}, message_id="m-1")

    assert [reply.status for reply in (bob, ada, job)] == [201, 201, 201]


async def test_a_refused_command_does_not_use_up_its_id(database: Database) -> None:
    house = House(database)
    job_id = await house.job()

    too_early = await house.give("job.retry", {"job_id": job_id}, message_id="m-1")
    await house.give("job.run", {"job_id": job_id})
    await house.report(job_id, 1, "FAILED")
    now = await house.give("job.retry", {"job_id": job_id}, message_id="m-1")

    assert code(too_early) is ErrorCode.INVALID_TRANSITION
    assert (now.status, now.replayed) == (202, False)


async def test_repetitions_within_one_batch_follow_the_first(database: Database) -> None:
    house = House(database)
    names = ["One", "One", "Two", "One"]

    done = await house.execute_commands([command("project.create", {"name": name}, message_id="m-1") for name in names])

    assert [reply.status for reply in done.replies] == [201, 200, 409, 200]
    assert [reply.replayed for reply in done.replies] == [False, True, False, True]
    assert await count(database, projects) == 1


async def test_commands_on_one_job_in_one_batch_are_decided_in_their_order(database: Database) -> None:
    house = House(database)
    job_id = await house.job()
    names = ["job.run", "job.run", "job.cancel", "job.run", "job.cancel"]

    done = await house.execute_commands([command(name, {"job_id": job_id}) for name in names])

    assert [reply.status for reply in done.replies] == [202, 200, 200, 409, 200]
    assert (await house.view(job_id))["version"] == 4


async def test_a_retry_that_is_met_shows_what_the_commands_before_it_left(database: Database) -> None:
    house = House(database)
    failed = await house.running()
    await house.report(failed, 1, "FAILED")
    again = result(await house.give("job.retry", {"job_id": failed}))["job_id"]

    done = await house.execute_commands(
        [command("job.cancel", {"job_id": again}), command("job.retry", {"job_id": failed})]
    )

    cancelled, met = map(result, done.replies)
    assert (cancelled["job_id"], cancelled["status"]) == (again, "CANCELLED")
    assert met == cancelled


def _break(given: Command, desk: CommandBatch) -> Reply:
    raise RuntimeError("a mistake of ours")


async def test_a_broken_command_fails_alone(database: Database) -> None:
    changes = {**CHANGES, "job.run": ChangeHandler(lambda _command, _batch: None, _break)}
    async with queue(database, changes) as give:
        given = [command("project.create", {"name": str(at)}) for at in range(20)]
        given.insert(7, command("job.run", {"job_id": "any"}))

        replies = await asyncio.gather(*map(give, given))

    assert replies[7] is BROKEN
    assert [reply.status for reply in replies if reply is not BROKEN] == [201] * 20
    assert await count(database, projects) == 20


async def test_storage_that_is_away_is_answered_at_once(database: Database) -> None:
    def away(given: Command, desk: CommandBatch) -> Reply:
        raise StorageAway("gone fishing")

    async with queue(database, {"project.create": ChangeHandler(lambda _command, _batch: None, away)}) as give:
        replies = await asyncio.gather(*(give(command("project.create", {"name": "p"})) for _ in range(3)))

    assert replies == [UNAVAILABLE] * 3


@pytest.mark.parametrize("how_many", [2, 40])
async def test_the_number_of_statements_does_not_grow_with_the_batch(database: Database, how_many: int) -> None:
    house = House(database)
    project_id = await house.project()
    of_one = {"project_id": project_id, "title": "t", "prompt": "p"}
    created = [command("job.create", of_one) for _ in range(how_many)]
    made = [result(reply)["job_id"] for reply in (await house.execute_commands(created)).replies]
    runs = [command("job.run", {"job_id": job_id}) for job_id in made]

    def statements_of(uow: UnitOfWork) -> int:
        with statements.recorded(uow) as seen:
            execute_commands(runs, uow, house.context(), CHANGES)
        return len(seen)

    assert await database.write(statements_of) == 7
