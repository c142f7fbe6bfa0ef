"""The event loop of the daemon, not that of the other tests: only there is a lost transport an error of its own."""

import asyncio
import contextlib
from pathlib import Path

import pytest
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.server.embedded_server import EmbeddedServer
from tests.adapters.nats.waiting import eventually
from tests.support.waiting import PATIENCE_S


async def publish_over_a_transport_that_has_just_closed(root: Path) -> list[bytes]:
    """What a subscription gets of it in the end."""
    server = EmbeddedServer(root / "store", root / "state", sync="interval")
    await server.start()
    watch = ConnectionWatch()
    broker = make_broker(server.url, watch=watch)
    client = await connect(broker, server.url, watch, PATIENCE_S)
    arrived: list[bytes] = []

    async def take(message: Msg) -> None:
        arrived.append(message.data)

    await client.subscribe("subject", cb=take)
    await client.flush()
    await lose_the_transport(client)
    for number in range(3):
        await client.publish("subject", b"%d" % number)
    await eventually(lambda: len(arrived) == 3)
    assert watch.reconnects == 1
    await broker.stop()
    await server.stop()
    return arrived


async def lose_the_transport(client: Client) -> None:
    """As the server's sudden end leaves it for a moment: closed, its flushing task gone, the client unaware."""
    reading, flushing = client._reading_task, client._flusher_task
    assert reading is not None
    assert flushing is not None
    for task in (reading, flushing):
        task.cancel()
    await asyncio.gather(reading, flushing, return_exceptions=True)
    assert client._transport is not None
    client._transport.close()  # type: ignore[no-untyped-call] # the library's
    await asyncio.sleep(0)
    assert client.is_connected


async def close_the_transport(client: Client) -> None:
    """A moment earlier: it is closed, and none of the client's tasks has looked at it yet."""
    assert client._transport is not None
    client._transport.close()  # type: ignore[no-untyped-call] # the library's
    await asyncio.sleep(0)


def test_what_is_published_in_the_moment_of_a_loss_arrives_after_it(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        arrived = runner.run(publish_over_a_transport_that_has_just_closed(tmp_path))
    assert arrived == [b"0", b"1", b"2"]


async def end_a_subscription_over_a_transport_that_has_just_closed(root: Path) -> None:
    server = EmbeddedServer(root / "store", root / "state", sync="interval")
    await server.start()
    watch = ConnectionWatch()
    broker = make_broker(server.url, watch=watch)
    client = await connect(broker, server.url, watch, PATIENCE_S)
    subscription = await client.subscribe("subject")
    await client.flush()
    await close_the_transport(client)
    with pytest.raises(NatsError):
        await client.flush()
    await eventually(lambda: client.is_connected and watch.reconnects == 1)
    await close_the_transport(client)
    with contextlib.suppress(NatsError):  # it may have heard before it comes to its flush
        await subscription.drain()  # type: ignore[no-untyped-call] # the library's
    await eventually(lambda: client.is_connected and watch.reconnects == 2)
    await broker.stop()
    await server.stop()


def test_a_flush_in_the_moment_of_a_loss_is_an_error_of_the_library(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(end_a_subscription_over_a_transport_that_has_just_closed(tmp_path))
