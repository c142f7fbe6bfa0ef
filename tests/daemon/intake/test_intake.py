"""Intake from a real stream into a real database: grouping, isolation, pauses, acknowledgements after the commit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from adapters.cancellation import cancel_and_wait
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.topology import Limits
from contracts.gate.delivery import Accepted, Delivery, Judged
from contracts.gate.gate import Gate
from contracts.registry import REGISTRY
from daemon.intake.ports import Gatekeeper
from handlers.effects import BatchOutcome, Context, Effects, Families, Verdict
from handlers.ledger.sessions import take_sessions
from storage.engine.database import Database
from storage.engine.failures import DataRefused
from storage.tables.journal import dead_letters
from storage.unit_of_work import UnitOfWork
from tests.adapters.nats.waiting import eventually, eventually_awaited
from tests.daemon.pipeline import Pipeline, Turnstile, Watched, pipeline, usage_body
from tests.support.locks import locked
from tests.support.waiting import PATIENCE_S


@pytest_asyncio.fixture
async def line(shared_server: EmbeddedServer, prefix: str, database: Database) -> AsyncIterator[Pipeline]:
    async with pipeline(shared_server.url, prefix, database) as made:
        yield made


def allergic_to(name: str) -> Families:
    """Families whose handler breaks on one message."""

    def handler(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
        effects = take_sessions(group, uow, context)
        if any(accepted.message_id == name for accepted in group):
            raise ValueError("a bug")
        return effects

    return {"session.usage": handler, "session.event": handler}


class Counting:
    """A gate that counts what it has judged: so many are at hand for the next batch."""

    def __init__(self, gate: Gatekeeper) -> None:
        self._gate = gate
        self.judged = 0

    def judge(self, delivery: Delivery) -> Judged:
        self.judged += 1
        return self._gate.judge(delivery)


async def codes(line: Pipeline) -> list[str]:
    return [row["code"] for row in await line.rows(select(dead_letters.c.code).order_by(dead_letters.c.sequence))]


async def test_a_batch_is_what_arrived_while_the_last_one_was_committed(line: Pipeline, database: Database) -> None:
    turnstile, gate = Turnstile(database), Counting(Gate(REGISTRY, line.rules))
    turnstile.open.clear()
    async with line.intake(database=turnstile, gate=gate) as watched:
        await line.publish_usage("first")
        await eventually(lambda: turnstile.waiting == 1)
        await line.publish_usage(*(f"m{number}" for number in range(40)))
        await eventually(lambda: gate.judged == 41)
        turnstile.open.set()
        await eventually(lambda: sum(watched.sizes) == 41)

    assert watched.sizes == [1, 40]
    assert await line.count_usage() == 41


async def delivered(line: Pipeline, count: int) -> bool:
    info = await line.nc.jetstream(timeout=PATIENCE_S).consumer_info(line.subjects.named("INGEST"), "headgate-ingest")
    return bool(info.num_ack_pending == count)


async def test_no_batch_is_larger_than_the_limit(line: Pipeline) -> None:
    await line.publish_usage(*(f"m{number}" for number in range(25)))
    async with line.intake(max_batch=10) as watched:
        await eventually(lambda: sum(watched.sizes) == 25)
    assert max(watched.sizes) <= 10


async def test_halving_isolates_one_poison_and_the_others_go_through(line: Pipeline) -> None:
    names = [f"m{number}" for number in range(20)]
    await line.publish_usage(*names[:11], "poison", *names[11:])

    async with line.receipts() as (inbox, came):
        await line.publish(usage_body("last"), headers={"Headgate-Receipt": inbox})
        async with line.intake(families=allergic_to("poison")) as watched:
            await eventually_awaited(line.all_acknowledged)
            await eventually(lambda: came)

    assert await line.count_usage() == 21
    [letter] = await line.rows(select(dead_letters))
    assert (letter["code"], letter["message_id"], letter["delivered"]) == ("INTERNAL_ERROR", "poison", 1)
    assert b"a bug" not in letter["problem"].encode()
    assert [outcome.verdict for outcome in watched.outcomes].count(Verdict.REFUSED) == 1
    assert came[0]["payload"]["outcome"] == "accepted"


async def test_a_body_that_breaks_the_gate_itself_is_a_dead_letter_too(line: Pipeline) -> None:
    class Broken:
        def judge(self, delivery: Delivery) -> Judged:  # noqa: ARG002 - a gate's shape
            raise RecursionError("too deep")

    await line.publish_usage("a")
    async with line.intake(gate=Broken()):
        await eventually_awaited(line.all_acknowledged)

    assert await codes(line) == ["INTERNAL_ERROR"]


async def test_while_storage_is_away_nothing_is_acknowledged_and_intake_resumes_by_itself(
    line: Pipeline, database_file: Path
) -> None:
    async with line.intake() as watched:
        await line.publish_usage("before")
        await eventually_awaited(line.all_acknowledged)
        with locked(database_file):
            await line.publish_usage("a", "b", "c")
            await eventually(lambda: not line.readiness.is_ready)
            assert {obstacle.dependency for obstacle in line.readiness.obstacles.values()} == {"database"}
            assert line.metrics.registry.get_sample_value("headgate_intake_paused") == 1
            await line.publish_usage("d")
            await eventually_awaited(lambda: waits(line, 4))
            assert await line.count_usage() == 1
        await eventually_awaited(line.all_acknowledged)
        await eventually(lambda: line.readiness.is_ready)

    assert await line.count_usage() == 5
    assert await codes(line) == []
    assert line.metrics.registry.get_sample_value("headgate_intake_paused") == 0
    assert {outcome.verdict for outcome in watched.outcomes} == {Verdict.ACCEPTED}


async def waits(line: Pipeline, count: int) -> bool:
    return await line.unacknowledged() == count


async def test_a_stop_while_storage_is_away_gives_back_what_is_in_hand(
    line: Pipeline, database: Database, database_file: Path
) -> None:
    turnstile = Turnstile(database)
    turnstile.open.clear()
    with ExitStack() as lock:
        async with line.intake(database=turnstile):
            await line.publish_usage("a", "b")
            # While storage is away no more is asked for: both are to be in hand before.
            await eventually_awaited(lambda: delivered(line, 2))
            lock.enter_context(locked(database_file))
            turnstile.open.set()
            await eventually(lambda: not line.readiness.is_ready)
    async with line.intake() as watched:
        await eventually_awaited(line.all_acknowledged)

    assert await line.count_usage() == 2
    assert {judged.delivery.delivered for batch in watched.batches for judged in batch} == {2}


async def test_a_stop_gives_back_what_waits_and_finishes_what_is_committed(line: Pipeline, database: Database) -> None:
    turnstile = Turnstile(database)
    turnstile.open.clear()
    pull, observer = line.make_pull(), line.observer()
    intake = line.make_intake(pull, observer, database=turnstile)
    await pull.start()
    running = asyncio.create_task(intake.run())
    await line.publish_usage("in-hand")
    await eventually(lambda: turnstile.waiting == 1)
    await line.publish_usage("waits-1", "waits-2")
    await eventually_awaited(lambda: delivered(line, 3))

    intake.stop()
    await pull.drain()
    turnstile.open.set()
    await asyncio.wait_for(running, PATIENCE_S)

    assert observer.sizes == [1]
    assert await line.count_usage() == 1
    async with line.intake() as watched:
        await eventually_awaited(line.all_acknowledged)
    assert sum(watched.sizes) == 2


async def test_a_crash_between_commit_and_acknowledgement_has_no_second_effect(
    shared_server: EmbeddedServer, prefix: str, database: Database
) -> None:
    class Stuck(Watched):
        """A process that ends right after the commit."""

        async def committed(self, batch: Sequence[Judged], settled: BatchOutcome, seconds: float) -> None:
            self.batches.append(list(batch))
            self.outcomes += settled.outcomes
            await asyncio.sleep(3_600 + seconds)

    limits = Limits(max_bytes=2**20, ack_wait_s=1.0)
    async with pipeline(shared_server.url, prefix, database, limits) as line:
        await line.publish_usage("a", "b")
        await line.publish(b"{")
        pull, stuck = line.make_pull(ack_wait_s=1.0), line.observer(Stuck)
        await pull.start()
        crashing = asyncio.create_task(line.make_intake(pull, stuck).run())
        await eventually(lambda: stuck.batches)
        await cancel_and_wait([crashing])
        committed = await line.count_usage() + len(await codes(line))
        assert committed == sum(stuck.sizes)
        await pull.drain()

        async with line.intake() as watched:
            await eventually_awaited(line.all_acknowledged)

        assert await line.count_usage() == 2
        assert await codes(line) == ["VALIDATION_ERROR"]
        verdicts = [outcome.verdict for outcome in watched.outcomes]
        assert verdicts.count(Verdict.REFUSED) == 1
        assert verdicts.count(Verdict.DUPLICATE) + verdicts.count(Verdict.ACCEPTED) == 2


async def test_what_fails_after_the_commit_undoes_nothing(line: Pipeline) -> None:
    class Broken(Watched):
        async def committed(self, batch: Sequence[Judged], settled: BatchOutcome, seconds: float) -> None:
            raise KeyError(f"a metric for {len(batch)} messages, {settled.facts} and {seconds} that nobody declared")

    observer = line.observer(Broken)
    await line.publish_usage("a", "b")
    async with line.intake(observer=observer):
        await eventually_awaited(line.all_acknowledged)

    assert await line.count_usage() == 2
    assert await codes(line) == []


async def test_a_poison_that_cannot_even_be_buried_stays_in_its_stream_and_stops_nobody(
    line: Pipeline, database: Database
) -> None:
    turnstile = Turnstile(database)
    turnstile.failure = lambda: DataRefused("whatever is written")
    async with line.intake(database=turnstile) as watched:
        await line.publish_usage("poison")
        await eventually(lambda: turnstile.failed == 2)
        turnstile.failure = None
        await line.publish_usage("a")
        await eventually(lambda: watched.sizes == [1])

    assert await line.count_usage() == 1
    assert await line.unacknowledged() == 1
    assert await codes(line) == []


async def test_a_held_message_is_given_back_and_gets_no_receipt_yet(line: Pipeline) -> None:
    def patient(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
        first = {at: 0.05 for at, accepted in enumerate(group) if accepted.delivery.delivered == 1}
        return Effects(held=first)

    async with line.receipts() as (inbox, came):
        await line.publish(usage_body("a"), headers={"Headgate-Receipt": inbox})
        async with line.intake(families={"session.usage": patient}) as watched:
            await eventually_awaited(line.all_acknowledged)
            await eventually(lambda: came)

    assert [outcome.verdict for outcome in watched.outcomes] == [Verdict.HELD, Verdict.ACCEPTED]
    assert [receipt["payload"]["outcome"] for receipt in came] == ["accepted"]


async def test_receipts_say_what_became_of_each_message(line: Pipeline) -> None:
    async with line.receipts() as (inbox, came), line.intake():
        asked = {"Headgate-Receipt": inbox}
        await line.publish(usage_body("a"), headers=asked)
        await eventually(lambda: len(came) == 1)
        await line.publish(usage_body("a"), headers=asked)
        await eventually(lambda: len(came) == 2)
        await line.publish(usage_body("a", input_tokens=9), headers=asked)
        await eventually(lambda: len(came) == 3)
        await line.publish(b"{", headers=asked)
        await eventually(lambda: len(came) == 4)

    payloads = [receipt["payload"] for receipt in came]
    assert [(payload["outcome"], payload["status"]) for payload in payloads] == [
        ("accepted", 201),
        ("duplicate", 200),
        ("refused", 409),
        ("refused", 400),
    ]
    assert {receipt["kind"] for receipt in came} == {"receipt"}
    assert {payload["subject"] for payload in payloads} == {f"{line.subjects.prefix}.ingest.session.usage"}
    assert [payload["stream_sequence"] for payload in payloads] == [1, 2, 3, 4]
    assert [payload["message_id"] for payload in payloads] == ["a", "a", "a", None]
    assert payloads[2]["error"]["code"] == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize(
    "subject", ["{prefix}.ingest.session.usage", "$JS.API.INFO", "else.where", "_INBOX.*", "_INBOX."]
)
async def test_a_receipt_goes_nowhere_else(line: Pipeline, subject: str) -> None:
    asked = subject.replace("{prefix}", line.subjects.prefix)
    await line.publish(usage_body("a"), headers={"Headgate-Receipt": asked})
    async with line.intake():
        await eventually_awaited(line.all_acknowledged)

    assert await line.count_usage() == 0
    [letter] = await line.rows(select(dead_letters))
    assert (letter["code"], letter["paths"]) == ("VALIDATION_ERROR", "headers.Headgate-Receipt")
    info = await line.nc.jetstream(timeout=PATIENCE_S).stream_info(line.subjects.named("INGEST"))
    assert info.state.last_seq == 1
