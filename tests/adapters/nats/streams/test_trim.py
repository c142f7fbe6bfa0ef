import asyncio

import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters.nats.streams.advisories import GivenUp, parse_given_up
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.stored_messages import message_at
from adapters.nats.streams.topology import ADVISORY_CONSUMER, Limits, advisory_consumer, topology
from adapters.nats.streams.trim import ack_floor, fullness, trim
from contracts.gate.delivery import Delivery
from contracts.subjects import Subjects
from tests.adapters.nats.waiting import eventually_awaited
from tests.support.waiting import PATIENCE_S

CONSUMER = "headgate-ingest"


@pytest.fixture
def subjects(prefix: str) -> Subjects:
    return Subjects(prefix)


@pytest_asyncio.fixture
async def stream(nc: Client, subjects: Subjects) -> str:
    await provision(nc, topology(subjects, Limits(max_bytes=1_000_000, ack_wait_s=0.5, max_deliver=2)))
    return subjects.named("INGEST")


async def fill(nc: Client, prefix: str, count: int) -> None:
    for _ in range(count):
        await nc.jetstream().publish(f"{prefix}.ingest.k", b"x" * 1000)


async def take(pull: ContinuousPull, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            taken += await pull.take(count - len(taken))
    return taken


async def messages(nc: Client, stream: str) -> int:
    return (await fullness(nc, stream)).messages


async def test_only_what_is_unread_stays(nc: Client, subjects: Subjects, stream: str) -> None:
    await fill(nc, subjects.prefix, 10)
    pull = ContinuousPull(nc, stream=stream, consumer=CONSUMER, prefix=subjects.prefix, ack_wait_s=0.5)
    await pull.start()
    taken = await take(pull, 10)
    assert await trim(nc, stream, [CONSUMER]) == 0

    await pull.ack([delivery for delivery in taken if delivery.sequence != 7])

    async def floor_is_six() -> bool:
        return await ack_floor(nc, stream, CONSUMER) == 6

    await eventually_awaited(floor_is_six)
    assert await trim(nc, stream, [CONSUMER]) == 6
    assert await trim(nc, stream, [CONSUMER]) == 0
    assert await message_at(nc, stream, 7) is not None
    assert await messages(nc, stream) == 4
    await pull.drain()


async def test_the_slowest_of_several_consumers_decides(nc: Client, subjects: Subjects, stream: str) -> None:
    await fill(nc, subjects.prefix, 3)
    await nc.jetstream().add_consumer(stream, durable_name="other", ack_policy="explicit")
    pull = ContinuousPull(nc, stream=stream, consumer=CONSUMER, prefix=subjects.prefix)
    await pull.start()
    await pull.ack(await take(pull, 3))

    async def is_acknowledged() -> bool:
        return await ack_floor(nc, stream, CONSUMER) == 3

    await eventually_awaited(is_acknowledged)
    assert await trim(nc, stream, [CONSUMER, "other"]) == 0
    assert await trim(nc, stream, [CONSUMER]) == 3
    await pull.drain()


async def test_fullness_is_the_share_of_the_bytes(nc: Client, subjects: Subjects, stream: str) -> None:
    assert (await fullness(nc, stream)).ratio == 0.0

    await fill(nc, subjects.prefix, 500)

    full = await fullness(nc, stream)
    assert full.messages == 500
    assert 0.5 < full.ratio < 0.6
    assert (await fullness(nc, subjects.named("PROBE"))).ratio == 0.0


async def test_a_message_that_was_given_up_on_is_told_and_can_be_fetched(
    nc: Client, subjects: Subjects, stream: str
) -> None:
    """The stream of advisories keeps what was said while nobody listened, and the message itself is still there."""
    await fill(nc, subjects.prefix, 3)
    pull = ContinuousPull(nc, stream=stream, consumer=CONSUMER, prefix=subjects.prefix, ack_wait_s=3600)
    await pull.start()
    await pull.ack([delivery for delivery in await take(pull, 3) if delivery.sequence != 2])
    assert [(delivery.sequence, delivery.delivered) for delivery in await take(pull, 1)] == [(2, 2)]

    config = advisory_consumer(subjects).config
    advisories = await nc.subscribe(str(config["deliver_subject"]), queue=str(config["deliver_group"]))
    advisory = await advisories.next_msg(timeout=PATIENCE_S)

    given_up = parse_given_up(advisory.data)
    assert given_up == GivenUp(stream, CONSUMER, sequence=2, deliveries=2)
    found = await message_at(nc, given_up.stream, given_up.sequence)
    assert found is not None
    assert found.body == b"x" * 1000

    # It holds the floor until the next acknowledgement; then only the advisory, until it is settled, keeps it.
    await fill(nc, subjects.prefix, 1)
    await pull.ack(await take(pull, 1))

    async def floor_is_past() -> bool:
        return await ack_floor(nc, stream, CONSUMER) == 4

    await eventually_awaited(floor_is_past)
    assert await trim(nc, stream, [CONSUMER], advisories=subjects.advisory_stream) == 0
    await advisory.ack()

    async def is_settled() -> bool:
        return await trim(nc, subjects.advisory_stream, [ADVISORY_CONSUMER]) == 1

    await eventually_awaited(is_settled)
    assert await trim(nc, stream, [CONSUMER], advisories=subjects.advisory_stream) == 4
    await pull.drain()
    await advisories.unsubscribe()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"",
        b"x",
        b'{"type":"other","stream":"S","consumer":"c","stream_seq":1,"deliveries":1}',
    ],
)
def test_anything_but_a_max_deliver_advisory_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_given_up(body)
