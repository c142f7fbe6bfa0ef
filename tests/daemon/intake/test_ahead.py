"""Full batches are handed over ahead of their turn, and nobody can tell by what is stored."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import pytest_asyncio
from sqlalchemy import select

from adapters.nats.server.embedded_server import EmbeddedServer
from contracts.gate.delivery import Accepted
from handlers.effects import Context, Effects, Verdict
from handlers.ledger.sessions import take_sessions
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.tables.journal import dead_letters
from storage.tables.usage import session_usage
from storage.unit_of_work import UnitOfWork
from tests.adapters.nats.waiting import eventually, eventually_awaited
from tests.daemon.pipeline import Pipeline, Turnstile, pipeline, usage_body

T = TypeVar("T")


@pytest_asyncio.fixture
async def line(shared_server: EmbeddedServer, prefix: str, database: Database) -> AsyncIterator[Pipeline]:
    async with pipeline(shared_server.url, prefix, database) as made:
        yield made


class Allergic:
    """Prepares all, and breaks on some."""

    def __init__(self, *names: str, prepares: bool = True) -> None:
        self._names = frozenset(names)
        self._prepares = prepares

    def __call__(self, group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
        effects = take_sessions(group, uow, context)
        self._check(group)
        return effects

    def prepare(self, group: Sequence[Accepted], context: Context) -> Callable[[UnitOfWork], Effects]:
        if not self._prepares:
            self._check(group)
        write = take_sessions.prepare(group, context)

        def writing(uow: UnitOfWork) -> Effects:
            effects = write(uow)
            self._check(group)
            return effects

        return writing

    def _check(self, group: Sequence[Accepted]) -> None:
        if any(accepted.message_id in self._names for accepted in group):
            raise ValueError("a bug")


class FailingOnce(Turnstile):
    """Storage is away for one write, by its number."""

    def __init__(self, database: Database, number: int) -> None:
        super().__init__(database)
        self._number = number
        self.writes = 0

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:
        self.writes += 1
        if self.writes == self._number:

            def failing(uow: UnitOfWork) -> T:
                work(uow)
                raise StorageAway("as the test wants it")

            return await super().write(failing, commit_delay_s=commit_delay_s)
        return await super().write(work, commit_delay_s=commit_delay_s)


def names(count: int) -> list[str]:
    return [f"m{number:03}" for number in range(count)]


async def stored(line: Pipeline) -> list[str]:
    """In the order in which they were stored."""
    return [row["message_id"] for row in await line.rows(select(session_usage).order_by(session_usage.c.usage_id))]


async def test_batches_are_stored_in_the_order_of_the_stream(line: Pipeline) -> None:
    await line.publish_usage(*names(60))
    async with line.intake(max_batch=5) as watched:
        await eventually_awaited(line.all_acknowledged)

    assert await stored(line) == names(60)
    assert sum(watched.sizes) == 60
    assert max(watched.sizes) <= 5


async def test_a_batch_that_is_halved_is_stored_before_the_one_behind_it(line: Pipeline) -> None:
    await line.publish_usage(*names(40))
    families = {"session.usage": Allergic("m007", "m021")}
    async with line.intake(max_batch=5, families=families):
        await eventually_awaited(line.all_acknowledged)

    assert await stored(line) == [name for name in names(40) if name not in {"m007", "m021"}]
    assert [row["message_id"] for row in await line.rows(select(dead_letters).order_by(dead_letters.c.sequence))] == [
        "m007",
        "m021",
    ]


async def test_a_message_that_breaks_the_preparing_is_isolated_too(line: Pipeline) -> None:
    await line.publish_usage(*names(20))
    families = {"session.usage": Allergic("m007", prepares=False)}
    async with line.intake(max_batch=5, families=families):
        await eventually_awaited(line.all_acknowledged)

    assert await stored(line) == [name for name in names(20) if name != "m007"]


async def test_storage_that_goes_away_under_a_batch_lets_none_behind_it_pass(
    line: Pipeline, database: Database
) -> None:
    for number in (2, 3, 5):
        expected = [f"{name}-{number}" for name in names(30)]
        before = await stored(line)
        await line.publish_usage(*expected)
        async with line.intake(max_batch=5, database=FailingOnce(database, number)):
            await eventually_awaited(line.all_acknowledged)
        assert await stored(line) == before + expected


async def test_a_message_that_comes_twice_is_taken_once_whichever_batch_it_is_in(line: Pipeline) -> None:
    other = usage_body("m003", input_tokens=1)
    await line.publish_usage(*names(10), "m003", *names(10)[:4], *(f"n{number}" for number in range(5)))
    await line.publish(other)
    async with line.intake(max_batch=5) as watched:
        await eventually_awaited(line.all_acknowledged)

    assert sorted(await stored(line)) == sorted([*names(10), *(f"n{number}" for number in range(5))])
    verdicts = [outcome.verdict for outcome in watched.outcomes]
    assert verdicts.count(Verdict.DUPLICATE) == 5
    assert [row["code"] for row in await line.rows(select(dead_letters))] == ["IDEMPOTENCY_CONFLICT"]


async def test_a_stop_finishes_what_is_ahead_and_gives_the_rest_back(line: Pipeline, database: Database) -> None:
    turnstile = Turnstile(database)
    turnstile.open.clear()
    await line.publish_usage(*names(40))
    pull, watched = line.make_pull(), line.observer()
    intake = line.make_intake(pull, watched, database=turnstile, max_batch=5)
    await pull.start()
    await eventually(lambda: pull.buffered == 40)
    running = asyncio.create_task(intake.run())
    ahead = 2 if database.keeps_order else 1
    await eventually(lambda: turnstile.waiting == ahead)
    intake.stop()
    await pull.drain()
    turnstile.open.set()
    await running

    assert await stored(line) == names(5 * ahead)
    assert await line.unacknowledged() == 40 - 5 * ahead
