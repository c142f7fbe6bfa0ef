"""What a connection writes, in the order in which the server is to read it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.server.embedded_server import EmbeddedServer

_COMMANDS = {b"PUB", b"UNSUB", b"PING"}


@pytest_asyncio.fixture
async def client(nats_server: EmbeddedServer) -> AsyncIterator[Client]:
    """A connection as the daemon makes it."""
    watch = ConnectionWatch()
    broker = make_broker(nats_server.url, watch=watch)
    yield await connect(broker, nats_server.url, watch, 5)
    await broker.stop()


@contextmanager
def written(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The first word of each command that goes to the server within the block."""
    words: list[bytes] = []
    transport = client._transport
    assert transport is not None
    write, writelines = transport.write, transport.writelines

    def note(data: bytes) -> None:
        words.extend(word for line in data.split(b"\r\n") if (word := line.split(b" ")[0]) in _COMMANDS)

    def noted(payload: bytes) -> None:
        note(payload)
        write(payload)

    def noted_lines(payload: Sequence[bytes]) -> None:
        for each in payload:
            note(each)
        writelines(list(payload))

    with monkeypatch.context() as patch:
        patch.setattr(transport, "write", noted)
        patch.setattr(transport, "writelines", noted_lines)
        yield words


async def test_a_flush_tells_that_the_server_has_what_was_published_before_it(
    client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with written(client, monkeypatch) as words:
        for number in range(3):
            await client.publish(f"{prefix}.{number}", b"x")
        await client.flush()

    assert words == [b"PUB", b"PUB", b"PUB", b"PING"]


async def test_a_drained_subscription_has_all_that_came_before_the_server_ended_it(
    client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(_: Msg) -> None:
        return None

    subscription = await client.subscribe(prefix, cb=take)
    with written(client, monkeypatch) as words:
        await subscription.drain()  # type: ignore[no-untyped-call]  # the library's annotations leave it out

    assert words == [b"UNSUB", b"PING"]
