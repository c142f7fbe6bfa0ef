"""A real nats-server for every test that needs one. Streams are kept apart by a prefix of their own for each test."""

import gc
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters.nats.direct_parser import parse_directly
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.wire import order_pings
from tests.support.connections import ignored

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """One server for the whole run, not synced on every publish: a test that restarts or fills one starts its own."""
    folder = tmp_path_factory.mktemp("nats")
    server = EmbeddedServer(folder / "store", folder / "state", sync="interval")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A server that the test may kill."""
    server = EmbeddedServer(tmp_path / "store", tmp_path / "state")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def nc(nats_server: EmbeddedServer) -> AsyncIterator[Client]:
    client = await nats.connect(nats_server.url)
    parse_directly(client)
    order_pings(client)
    yield client
    await client.close()


@pytest_asyncio.fixture
async def nc_own(own_server: EmbeddedServer) -> AsyncIterator[Client]:
    """A connection to the test's own server that outlives its outages."""
    client = await nats.connect(
        own_server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, connect_timeout=1, error_cb=ignored
    )
    yield client
    await client.close()


@pytest.fixture
def abandoned_sockets() -> Iterator[None]:
    """For tests of refused connections: the client library leaves the socket of a refused attempt to the garbage
    collector, which must not find it during somebody else's test."""
    yield
    gc.collect()


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses."""
    return f"t{next(_numbers)}"
