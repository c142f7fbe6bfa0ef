"""What pulls whatever happens to its consumer, its stream, its server or its connection."""

import asyncio
import os
import signal
from functools import partial

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from adapters.errors import ConsumerGoneError
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.topology import Limits, topology
from contracts.subjects import Subjects
from tests.adapters.nats.streams.pulling import ACK_WAIT_S, CONSUMER, PullOf, fill, take
from tests.adapters.nats.waiting import eventually, eventually_awaited
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kills


async def test_a_deleted_consumer_is_told_to_the_taker(nc: Client, stream: str, pull_of: PullOf) -> None:
    pull = pull_of()
    await pull.start()
    await eventually(lambda: pull.owed)

    await nc.jetstream().delete_consumer(stream, CONSUMER)

    with pytest.raises(ConsumerGoneError, match=f"{stream}: the consumer {CONSUMER} does not exist any more"):
        async with asyncio.timeout(PATIENCE_S):
            await pull.take(10)
    assert not pull.healthy


@pytest.mark.parametrize("whole_stream", [False, True])
async def test_a_deleted_consumer_is_made_anew_and_the_pull_goes_on(
    nc: Client, prefix: str, stream: str, pull_of: PullOf, *, whole_stream: bool
) -> None:
    async def recreate() -> None:
        await provision(nc, topology(Subjects(prefix), Limits(ack_wait_s=ACK_WAIT_S)))

    pull = pull_of(recreate=recreate)
    await pull.start()
    await eventually(lambda: pull.owed)
    js = nc.jetstream()

    await (js.delete_stream(stream) if whole_stream else js.delete_consumer(stream, CONSUMER))

    async def is_back() -> bool:
        try:
            return CONSUMER in [consumer.name for consumer in await js.consumers_info(stream)]
        except NotFoundError:  # nor is its stream
            return False

    await eventually_awaited(is_back)
    await eventually(lambda: pull.healthy and pull.owed)
    await fill(nc, prefix, 2)
    assert len(await take(pull, 2)) == 2


@pytest.mark.process
async def test_the_pull_goes_on_when_the_server_was_killed(own_server: EmbeddedServer, nc_own: Client) -> None:
    """Requests die with the server without a word; the connection alone recovers."""
    watching = asyncio.create_task(own_server.watch(_nothing))
    await provision(nc_own, topology(Subjects("hg"), Limits(ack_wait_s=5)))
    pull = ContinuousPull(nc_own, stream="HG_INGEST", consumer=CONSUMER, prefix="hg", ack_wait_s=5)
    await pull.start()
    await fill(nc_own, "hg", 3)
    await pull.ack(await take(pull, 3))
    for round_number in range(3):
        assert own_server.pid is not None
        os.kill(own_server.pid, signal.SIGKILL)
        await eventually(partial(_restarted, own_server, round_number + 1))
        await eventually(lambda: nc_own.is_connected)
        await nc_own.jetstream().publish("hg.ingest.k", b"after", stream="HG_INGEST", timeout=PATIENCE_S)

        async with asyncio.timeout(PATIENCE_S):
            bodies: list[bytes] = []
            while b"after" not in bodies:  # acknowledgements of a moment before may have been lost with it
                taken = await pull.take(100)
                bodies += [delivery.body for delivery in taken]
                await pull.ack(taken)
    await pull.drain()
    watching.cancel()


async def test_the_pull_goes_on_after_a_reconnect_alone(nc: Client, prefix: str, pull_of: PullOf) -> None:
    pull = pull_of()
    await pull.start()
    await eventually(lambda: pull.owed)

    await nc.force_reconnect()
    await eventually(lambda: nc.stats["reconnects"] == 1 and nc.is_connected)
    await fill(nc, prefix, 2)

    assert len(await take(pull, 2)) == 2


def _restarted(server: EmbeddedServer, times: int) -> bool:
    return server.restarts == times


async def _nothing() -> None:
    return None
