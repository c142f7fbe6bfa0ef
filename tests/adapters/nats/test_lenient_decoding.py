"""What a producer with a socket of its own can do to the subject and the headers of a message."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.server.embedded_server import EmbeddedServer
from tests.adapters.nats.waiting import eventually
from tests.support.raw_client import publish_raw


@pytest_asyncio.fixture
async def client(nats_server: EmbeddedServer) -> AsyncIterator[Client]:
    watch = ConnectionWatch()
    broker = make_broker(nats_server.url, watch=watch)
    yield await connect(broker, nats_server.url, watch, 5)
    assert watch.disconnects == 0
    await broker.stop()


TWO_SIGNATURES = b"webhook-signature: v1,a\r\nA: b\r\nwebhook-signature:v1,b\r\n"
PLAIN = b"NATS/1.0\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    ("token", "headers", "read"),
    [
        (b"\xff\xfe", PLAIN, {"A": "b"}),
        (b"a\x0bb", PLAIN, {"A": "b"}),
        (b"a\x0cb", PLAIN, {"A": "b"}),
        (b"a\x00b", PLAIN, {"A": "b"}),
        (b"\xc2\xa0", PLAIN, {"A": "b"}),
        (b"x", b"NATS/1.0", None),
        (b"x", b"NATS/1.0\r\n\r\n", None),
        (b"x", b"NATS/1.0 \xff\xff\xff\r\n\r\n", None),
        (b"x", b"NATS/1.0 503 \xff\r\n\r\n", None),
        (b"x", b"NATS/1.0 503 gone\r\n\r\n", {"Status": "503", "Description": "gone"}),
        (b"x", b"NATS/1.0\r\nA: \xff\r\n\r\n", {"A": "\N{REPLACEMENT CHARACTER}"}),
        (b"x", b"NATS/1.0\r\n" + TWO_SIGNATURES + b"\r\n", {"A": "b", "webhook-signature": "v1,a v1,b"}),
        (b"x", b"NATS/1.0\r\n" + TWO_SIGNATURES.title() + b"\r\n", {"A": "B", "webhook-signature": "V1,A V1,B"}),
        (b"x", b"NATS/1.0\r\nA: b\r\nA: c\r\n\r\n", {"A": "c"}),
        (b"x", b"NATS/1.0\r\nno colon\r\n\r\n", None),
        (b"x", b"anything at all", None),
    ],
)
async def test_no_message_ends_the_reading_of_those_after_it(
    nats_server: EmbeddedServer, client: Client, prefix: str, token: bytes, headers: bytes, read: dict[str, str] | None
) -> None:
    arrived: list[Msg] = []

    async def keep(message: Msg) -> None:
        arrived.append(message)

    await client.subscribe(f"{prefix}.>", cb=keep)
    await client.flush()

    await publish_raw(nats_server.url, prefix.encode() + b"." + token, headers, b"body")
    await publish_raw(nats_server.url, prefix.encode() + b".after", PLAIN, b"")

    await eventually(lambda: len(arrived) == 2)
    hostile, after = arrived
    assert (hostile.subject, hostile.data) == (f"{prefix}.{token.decode(errors='replace')}", b"body")
    assert hostile.headers == read
    assert all(type(name) is str for name in hostile.headers or {})
    assert after.subject == f"{prefix}.after"
