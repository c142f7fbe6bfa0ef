"""Pulls for tests, and what is put before them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from nats.aio.client import Client
from nats.js.api import ConsumerInfo

from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.topology import Limits, topology
from contracts.gate.delivery import Delivery
from contracts.subjects import Subjects
from tests.support.waiting import PATIENCE_S

CONSUMER: Final = "headgate-ingest"
ACK_WAIT_S: Final = 4.0
"""To be waited for where something is to expire, and longer than a busy machine keeps the processor from a test."""
PullOf: TypeAlias = Callable[..., ContinuousPull]


async def provisioned(nc: Client, prefix: str) -> str:
    """The name of a stream, made with all others."""
    subjects = Subjects(prefix)
    await provision(nc, topology(subjects, Limits(ack_wait_s=ACK_WAIT_S)))
    return subjects.named("INGEST")


@asynccontextmanager
async def pulls(nc: Client, stream: str, prefix: str) -> AsyncIterator[PullOf]:
    """Makes pulls with what a test varies; they are drained at its end."""
    made: list[ContinuousPull] = []

    def make(**varied: object) -> ContinuousPull:
        options = {"stream": stream, "consumer": CONSUMER, "prefix": prefix, "ack_wait_s": ACK_WAIT_S, **varied}
        made.append(ContinuousPull(nc, **options))  # type: ignore[arg-type]  # options vary by test
        return made[-1]

    yield make
    for pull in made:
        await pull.drain()


async def fill(nc: Client, prefix: str, count: int, body: bytes = b"x") -> None:
    for number in range(count):
        await nc.publish(f"{prefix}.ingest.k", body, headers={"number": str(number)})
    await nc.flush()


async def take(pull: ContinuousPull, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            taken += await pull.take(count - len(taken))
    return taken


async def info(nc: Client, stream: str) -> ConsumerInfo:
    state: ConsumerInfo = await nc.jetstream().consumer_info(stream, CONSUMER)
    return state
