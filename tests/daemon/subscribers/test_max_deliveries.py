"""What the server gave up on is fetched and kept, once, whatever it was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
import pytest_asyncio
from sqlalchemy import select

from adapters.cancellation import cancel_and_wait
from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.topology import ADVISORY_CONSUMER, Limits, advisory_consumer
from contracts.gate.delivery import Delivery, Judged
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from contracts.subjects import Family
from daemon.intake.ports import Gatekeeper
from daemon.subscribers.max_deliveries import GivenUpMessages
from daemon.subscribers.subscriber import LowRateSubscribers, Subscriber
from handlers.batch import decide_batch
from handlers.registry import FAMILIES
from handlers.replays.replays import message_of
from storage.engine.database import Database
from storage.tables.journal import dead_letters
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope, usage
from tests.daemon.operations.operating import until
from tests.daemon.pipeline import DAEMON, Pipeline, pipeline, usage_body
from tests.support.waiting import PATIENCE_S


class Blind:
    """A gate that is never to be asked."""

    def judge(self, delivery: Delivery) -> Judged:
        raise AssertionError(f"looked at {delivery.subject}")


@pytest.fixture
def url(shared_server: EmbeddedServer) -> str:
    return shared_server.url


@pytest_asyncio.fixture
async def line(url: str, prefix: str, database: Database) -> AsyncIterator[Pipeline]:
    limits = Limits(max_bytes=16 * 2**20, max_deliver=2, ack_wait_s=1.0)
    async with pipeline(url, prefix, database, limits) as connected:
        yield connected


@asynccontextmanager
async def keeping(line: Pipeline, url: str, gate: Gatekeeper | None = None) -> AsyncIterator[None]:
    """The subscriber at work within the block, on a broker of its own."""
    watch = ConnectionWatch()
    broker = make_broker(url, watch=watch)
    await connect(broker, url, watch, PATIENCE_S)
    handle = GivenUpMessages(
        line.nc,
        gate=gate or Gate(REGISTRY, line.rules),
        subjects=line.subjects,
        database=line.database,
        context=line.context,
        wake=lambda _lanes: None,
        metrics=line.metrics,
    )
    subscriber = Subscriber(advisory_consumer(line.subjects), handle, "keeps what was given up on")
    running = asyncio.create_task(LowRateSubscribers(broker, [subscriber], line.metrics).run())
    try:
        yield
    finally:
        await cancel_and_wait([running])
        await broker.stop()


async def give_up_on(line: Pipeline, family: Family = Family.INGEST) -> Delivery:
    """Have the next message delivered as often as it may be; the first delivery of it."""
    pull = ContinuousPull(
        line.nc,
        stream=line.subjects.stream(family),
        consumer=line.subjects.consumer(family),
        prefix=line.subjects.prefix,
        ack_wait_s=1.0,
    )
    await pull.start()
    (first,) = await pull.take(1)
    await pull.give_back(first)
    (second,) = await pull.take(1)
    await pull.give_back(second)
    assert (first.delivered, second.delivered) == (1, 2)
    await pull.drain()
    return first


async def letters(line: Pipeline) -> list[Json]:
    return [dict(row) for row in await line.rows(select(dead_letters))]


def handled(line: Pipeline) -> Callable[[], Awaitable[bool]]:
    """Whether an advisory came and none is left to be read."""

    async def all_read() -> bool:
        info = await line.nc.jetstream(timeout=PATIENCE_S).consumer_info(
            line.subjects.advisory_stream, ADVISORY_CONSUMER
        )
        return info.delivered.consumer_seq > 0 and not info.num_pending and not info.num_ack_pending

    return all_read


async def test_a_message_that_was_given_up_on_becomes_a_dead_letter(line: Pipeline, url: str) -> None:
    await line.publish(usage_body("m1"), headers={"Nats-Msg-Id": "m1"})
    first = await give_up_on(line)

    async with keeping(line, url):
        await until(handled(line))

    (letter,) = await letters(line)
    assert orjson.loads(letter["problem"])["message"] == "given up after 2 deliveries"
    assert (letter["code"], letter["state"], letter["message_id"]) == ("INTERNAL_ERROR", "open", "m1")
    assert (letter["stream"], letter["sequence"], letter["stored_at"]) == (
        first.stream,
        first.sequence,
        first.stored_at,
    )
    assert bytes(letter["body"]) == first.body
    assert orjson.loads(letter["headers"]) == {"Nats-Msg-Id": "m1"}
    lane = line.subjects.stream(Family.DEAD)
    told = await line.database.read(lambda uow: uow.outbox.waiting(owner=DAEMON, lane=lane, limit=9, max_bytes=2**20))
    assert len(told) == 1


async def test_what_was_taken_and_never_acknowledged_is_no_dead_letter(line: Pipeline, url: str) -> None:
    await line.publish(usage_body("m1"))
    first = await give_up_on(line)
    judged = Gate(REGISTRY, GateRules()).judge(first)
    await line.database.write(lambda uow: decide_batch([judged], uow, line.context(), FAMILIES))

    async with keeping(line, url):
        await until(handled(line))

    assert await letters(line) == []


async def test_what_was_refused_and_never_acknowledged_stays_one_dead_letter(line: Pipeline, url: str) -> None:
    await line.publish(envelope(usage(input_tokens=-1), message_id="m1"))
    first = await give_up_on(line)
    judged = Gate(REGISTRY, GateRules()).judge(first)
    await line.database.write(lambda uow: decide_batch([judged], uow, line.context(), FAMILIES))

    async with keeping(line, url):
        await until(handled(line))

    assert [letter["code"] for letter in await letters(line)] == ["VALIDATION_ERROR"]


async def test_what_ends_whoever_reads_it_is_kept_without_a_look(line: Pipeline, url: str) -> None:
    """The advisory comes again and again: it is the message that nobody survives."""
    await line.publish(usage_body("m1"))
    await give_up_on(line)
    config = advisory_consumer(line.subjects).config
    pushed = await line.nc.subscribe(str(config["deliver_subject"]), queue=str(config["deliver_group"]))
    for _ in range(2):
        await (await pushed.next_msg(timeout=PATIENCE_S)).nak()
    await pushed.unsubscribe()

    async with keeping(line, url, gate=Blind()):
        await until(handled(line))

    (letter,) = await letters(line)
    assert (letter["kind"], letter["message_id"], letter["code"]) == ("unknown", None, "INTERNAL_ERROR")


async def test_a_replay_that_was_given_up_on_opens_its_letter(line: Pipeline, url: str) -> None:
    judged = Gate(REGISTRY, GateRules()).judge(Delivery("ingest.session.usage", b"{}", {}, "HG_INGEST", 1, 1, 1, ""))

    def bury_and_begin(uow: UnitOfWork) -> tuple[str, bytes, dict[str, str]]:
        decide_batch([judged], uow, line.context(), FAMILIES)
        (letter,) = uow.connection.execute(select(dead_letters.c.dead_letter_id)).scalars()
        (begun,) = uow.replays.begin([letter], run_id="run-1", principal="ann", now=1)
        message = message_of(begun, begun.body, "run-1", line.context())
        return message.subject, message.body, dict(message.headers)

    subject, body, headers = await line.database.write(bury_and_begin)
    await line.nc.jetstream(timeout=PATIENCE_S).publish(subject, body, headers=headers)
    await give_up_on(line, Family.REPLAY)

    async with keeping(line, url):
        await until(handled(line))

    (letter,) = await letters(line)
    assert (letter["state"], letter["code"], letter["replay_number"]) == ("open", "INTERNAL_ERROR", 1)


async def test_an_advisory_without_sense_stands_in_nobodys_way(line: Pipeline, url: str) -> None:
    subject = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{line.subjects.stream(Family.INGEST)}.headgate-ingest"
    await line.nc.jetstream(timeout=PATIENCE_S).publish(subject, b"no advisory", stream=line.subjects.advisory_stream)

    async with keeping(line, url):
        await until(handled(line))

    assert await letters(line) == []
