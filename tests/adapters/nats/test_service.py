"""The command door as a service on a real server: what it took from its callers is handed on, also while it stops."""

import asyncio

import nats
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.service import Endpoint, IncomingRequest, serve
from adapters.nats.wire import order_pings
from tests.support.waiting import PATIENCE_S

REQUESTS = 500


async def test_a_stop_hands_on_every_request_that_the_server_had_sent(nats_server: EmbeddedServer, nc: Client) -> None:
    caller = await nats.connect(nats_server.url)
    order_pings(caller)
    taken: list[bytes] = []
    first = asyncio.Event()

    async def take(request: IncomingRequest) -> None:
        taken.append(request.body)
        first.set()
        await asyncio.sleep(0)

    names = ("here", "there")
    service = await serve(
        nc,
        version="1.0.0",
        queue_group="stopping",
        endpoints=[Endpoint(name, f"stopping.{name}") for name in names],
        take=take,
    )
    for number in range(REQUESTS):
        await caller.publish(f"stopping.{names[number % 2]}", b"%d" % number, reply="_INBOX.nobody")
    await caller.flush()
    await first.wait()
    await service.stop()

    assert sorted(map(int, taken)) == list(range(REQUESTS))
    with pytest.raises(NoRespondersError):
        await caller.request("stopping.here", b"", timeout=PATIENCE_S)
    await caller.close()
