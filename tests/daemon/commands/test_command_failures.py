"""The door where something breaks behind it: a reply comes all the same, and tells nothing of the cause."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import orjson
import pytest_asyncio

from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.service import Endpoint, serve
from contracts.errors import JsonObject, Problem
from contracts.registry import REGISTRY
from contracts.subjects import Family
from contracts.values.principals import LOCAL, Principal
from daemon.commands.authorization import Anyone, Authorization
from daemon.commands.command_endpoint import CommandEndpoint, OperationRoute, QueryRoute, Route
from daemon.observability.story_log import StoryLog
from domain.rate_limits import Rate, RateLimits
from handlers.commands.command import Command, Query, Reply, ok
from handlers.commands.command_batch import Changes
from handlers.effects import Context
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import envelope
from tests.daemon.pipeline import Pipeline, pipeline
from tests.support.commands import ask
from tests.support.waiting import PATIENCE_S

T = TypeVar("T")

CONTRACT = next(known for known in REGISTRY.contracts(Family.COMMAND) if known.kind == "ledger.get")
NOBODY: Changes = {}


class AwayForReads:
    """A database whose readers cannot be had."""

    dialect = "sqlite"
    keeps_order = True

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:  # noqa: ARG002
        raise StorageAway(f"disk I/O error at /secret/path, {work}")

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        raise StorageAway(f"disk I/O error at /secret/path, {work}")

    def wait_briefly(self) -> None:
        return None

    async def close(self) -> None:
        return None


@pytest_asyncio.fixture
async def line(shared_server: EmbeddedServer, prefix: str, database: Database) -> AsyncIterator[Pipeline]:
    async with pipeline(shared_server.url, prefix, database) as made:
        yield made


@asynccontextmanager
async def door(
    line: Pipeline, route: Route, *, database: Database | None = None, guard: Authorization | None = None
) -> AsyncIterator[str]:
    """Open for one command; yields its subject."""
    service = None
    made = CommandEndpoint(
        routes={"ledger-get": route},
        guard=guard or Authorization(Anyone(), RateLimits(Rate(10_000, 1)), RateLimits(Rate(100, 1))),
        rules=line.rules,
        database=database or line.database,
        context=line.context,
        metrics=line.metrics,
        stories=StoryLog(),
        replies=lambda: service,  # type: ignore[arg-type,return-value]  # there before the first request is
        changes=NOBODY,
        wake=line.relay.wake,
    )
    subject = line.subjects.full("cmd.ledger.get")
    async with anyio.create_task_group() as tasks:
        made.open(tasks)
        service = await serve(
            line.nc, version="1.0.0", queue_group="q", endpoints=[Endpoint("ledger-get", subject)], take=made.take
        )
        yield subject
        await service.stop()
        await made.finish()
        tasks.cancel_scope.cancel()


def query(answer: Query) -> QueryRoute:
    return QueryRoute(CONTRACT, answer)


async def test_a_query_that_breaks_tells_nothing_and_spares_those_beside_it(line: Pipeline) -> None:
    def fragile(command: Command, uow: UnitOfWork, context: Context) -> Reply:
        session_id = getattr(command.payload, "session_id", "")
        if session_id == "broken":
            raise RuntimeError("the secret /path/of/ours")
        return ok({"session_id": session_id, "at": context.now, "dialect": uow.connection.dialect.name})

    async with door(line, query(fragile)) as subject:
        names = ["a", "broken", "b", "c"]
        answers = await asyncio.gather(*(ask(line.nc, subject, {"session_id": name}, stand_in=True) for name in names))

    assert [answer.status for answer in answers] == [200, 500, 200, 200]
    assert answers[1].error["code"] == "INTERNAL_ERROR"
    assert b"secret" not in answers[1].raw
    assert "secret" not in str(answers[1].headers)
    assert answers[1].headers["Nats-Service-Error-Code"] == "500"


async def test_storage_that_is_away_is_503_at_once(line: Pipeline) -> None:
    def never(command: Command, uow: UnitOfWork, context: Context) -> Reply:
        raise AssertionError(f"{command} {uow} {context}")

    async with door(line, query(never), database=AwayForReads()) as subject:
        answer = await ask(line.nc, subject, {"session_id": "a"})

    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
    assert b"secret" not in answer.raw


async def test_an_operation_that_breaks_is_answered_too(line: Pipeline) -> None:
    async def away(command: Command) -> Reply:
        raise StorageAway(f"secret {command.name}")

    async def broken(command: Command) -> Reply:
        raise KeyError(f"secret {command.name}")

    for operate, status in ((away, 503), (broken, 500)):
        async with door(line, OperationRoute(CONTRACT, operate)) as subject:
            answer = await ask(line.nc, subject, {"session_id": "a"})
        assert answer.status == status
        assert b"secret" not in answer.raw


async def test_a_door_that_breaks_before_the_command_is_read_answers(line: Pipeline) -> None:
    class Broken:
        def authenticate(self, headers: Mapping[str, str], now: int) -> Principal | Problem:
            if headers or now:
                raise ValueError("a secret key")
            return LOCAL

    guard = Authorization(Broken(), RateLimits(Rate(10_000, 1)), RateLimits(Rate(100, 1)))
    async with door(line, query(lambda *_: ok(None)), guard=guard) as subject:
        answer = await ask(line.nc, subject, {"session_id": "a"})

    assert (answer.status, answer.error["code"]) == (500, "INTERNAL_ERROR")
    assert b"secret" not in answer.raw
    assert "secret" not in str(answer.headers)


async def test_an_answer_too_large_to_be_sent_is_an_error_and_no_silence(line: Pipeline) -> None:
    large: JsonObject = {"text": "x" * line.nc.max_payload}

    async with door(line, query(lambda *_: ok(large))) as subject:
        answer = await ask(line.nc, subject, {"session_id": "a"})

    assert (answer.status, answer.error["code"]) == (500, "INTERNAL_ERROR")


async def test_every_question_that_was_taken_in_is_answered_before_the_door_is_shut(line: Pipeline) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(command: Command, uow: UnitOfWork, context: Context) -> Reply:
        begun.set()
        return ok(
            {"waited": go_on.wait(PATIENCE_S), "dialect": uow.connection.dialect.name, "of": f"{command} {context}"}
        )

    async with door(line, query(slow)) as subject:
        asked = [
            asyncio.create_task(ask(line.nc, subject, {"session_id": str(number)}, stand_in=True))
            for number in range(100)
        ]
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        await line.nc.flush()
        asyncio.get_running_loop().call_later(0.05, go_on.set)

    assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 100


async def test_an_operation_that_a_stop_cuts_short_is_answered(line: Pipeline) -> None:
    begun = asyncio.Event()

    async def endless(command: Command) -> Reply:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError(command)

    async with door(line, OperationRoute(CONTRACT, endless)) as subject:
        asked = asyncio.create_task(ask(line.nc, subject, {"session_id": "a"}))
        await begun.wait()

    answer = await asked
    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")


async def test_what_is_taken_in_and_not_answered_is_bounded_in_bytes(line: Pipeline) -> None:
    go_on = asyncio.Event()

    async def slow(command: Command) -> Reply:
        await go_on.wait()
        return ok({"of": command.name})

    body = orjson.dumps(envelope({"session_id": "a"}, "ledger.get", "1.0")) + b" " * 240_000
    async with door(line, OperationRoute(CONTRACT, slow)) as subject:
        asked = [asyncio.create_task(line.nc.request(subject, body, timeout=PATIENCE_S)) for _ in range(100)]
        refused = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        go_on.set()
        statuses = [orjson.loads((await one).data)["payload"]["status"] for one in asked]
        after = orjson.loads((await line.nc.request(subject, body, timeout=PATIENCE_S)).data)["payload"]

    assert refused[0]
    assert set(statuses) == {200, 503}
    assert 50 < statuses.count(200) < 75
    assert after["status"] == 200
