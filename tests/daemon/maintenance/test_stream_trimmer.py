"""Trimming in the daemon: whoever trims, what was given back comes again at once."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import nats
import pytest_asyncio
from nats.aio.client import Client

from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.topology import Limits, topology
from adapters.nats.streams.trim import ack_floor, fullness, trim
from contracts.gate.delivery import Delivery
from contracts.subjects import Subjects
from daemon.maintenance.stream_trimmer import StreamTrimmer, Trimmed
from daemon.observability.metrics import Metrics
from tests.adapters.nats.waiting import eventually_awaited
from tests.support.waiting import PATIENCE_S

CONSUMER = "headgate-ingest"


@pytest_asyncio.fixture
async def nc(shared_server: EmbeddedServer) -> AsyncIterator[Client]:
    client = await nats.connect(shared_server.url)
    yield client
    await client.close()


@pytest_asyncio.fixture
async def stream(nc: Client, prefix: str) -> str:
    """Twenty messages of 1,000 bytes in a stream for a hundred; what is given back and lost comes after minutes."""
    subjects = Subjects(prefix)
    await provision(nc, topology(subjects, Limits(max_bytes=100_000, ack_wait_s=300)))
    for _ in range(20):
        await nc.jetstream(timeout=PATIENCE_S).publish(f"{prefix}.ingest.k", b"x" * 1000)
    return subjects.named("INGEST")


def pull_of(nc: Client, stream: str, prefix: str, window: int = 100) -> ContinuousPull:
    return ContinuousPull(nc, stream=stream, consumer=CONSUMER, prefix=prefix, window=window, ack_wait_s=300)


def trimmer_of(nc: Client, stream: str, interval_s: float) -> StreamTrimmer:
    return StreamTrimmer(nc, [Trimmed(stream, CONSUMER)], interval_s=interval_s, metrics=Metrics())


async def take(pull: ContinuousPull, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            taken += await pull.take(count - len(taken))
    return taken


async def with_a_line(nc: Client, stream: str, prefix: str) -> tuple[ContinuousPull, Delivery]:
    """Five acknowledged, fifteen given back; one of these is in hand again, and the others are in line behind it."""
    first = pull_of(nc, stream, prefix)
    await first.start()
    taken = await take(first, 20)
    await first.ack(taken[:5])
    await first.drain()
    for delivery in taken[5:]:
        await first.give_back(delivery)
    second = pull_of(nc, stream, prefix, window=1)
    await second.start()
    [again] = await take(second, 1)
    return second, again


async def what_comes(pull: ContinuousPull, *, within_s: float) -> list[Delivery]:
    came: list[Delivery] = []
    with anyio.move_on_after(within_s):
        while taken := await pull.take(1):
            await pull.ack(taken)
            came += taken
    return came


async def left(nc: Client, stream: str) -> int:
    return (await fullness(nc, stream)).messages


async def test_what_was_given_back_comes_again_at_once_whoever_trims_meanwhile(
    nc: Client, stream: str, prefix: str
) -> None:
    pull, again = await with_a_line(nc, stream, prefix)
    trimmer = trimmer_of(nc, stream, 0.0)

    await trimmer.step()

    assert await left(nc, stream) == 20, "a purge would make the server forget the line"
    await pull.ack([again])
    rest = await take(pull, 14)
    assert sorted(delivery.sequence for delivery in (again, *rest)) == list(range(6, 21))
    await pull.ack(rest)

    async def all_is_acknowledged() -> bool:
        return await ack_floor(nc, stream, CONSUMER) == 20

    await eventually_awaited(all_is_acknowledged)
    await trimmer.step()
    assert await left(nc, stream) == 0
    await pull.drain()


async def test_a_purge_makes_the_server_forget_what_is_in_line(nc: Client, stream: str, prefix: str) -> None:
    """Why there is patience: where this fails, the server has been mended and it can go."""
    pull, again = await with_a_line(nc, stream, prefix)

    assert await trim(nc, stream, [CONSUMER]) == 5

    await pull.ack([again])
    assert len(await what_comes(pull, within_s=1.0)) < 14
    await pull.drain()


async def test_patience_has_an_end(nc: Client, stream: str, prefix: str) -> None:
    pull, _ = await with_a_line(nc, stream, prefix)
    trimmer = trimmer_of(nc, stream, 0.0)

    for _ in range(7):
        assert await left(nc, stream) == 20
        await trimmer.step()

    assert await left(nc, stream) == 15
    await pull.drain()


async def test_a_stream_that_needs_room_is_trimmed_whatever_is_in_line(nc: Client, stream: str, prefix: str) -> None:
    for _ in range(60):
        await nc.jetstream(timeout=PATIENCE_S).publish(f"{prefix}.ingest.k", b"x" * 1000)
    pull, _ = await with_a_line(nc, stream, prefix)

    await trimmer_of(nc, stream, 0.0).step()

    assert await left(nc, stream) == 75
    await pull.drain()


async def test_nothing_is_trimmed_at_the_start(nc: Client, stream: str, prefix: str) -> None:
    pull = pull_of(nc, stream, prefix)
    await pull.start()
    await pull.ack(await take(pull, 20))

    await trimmer_of(nc, stream, 60.0).step()

    assert await left(nc, stream) == 20, "what a predecessor held has just been given back"
    await pull.drain()
