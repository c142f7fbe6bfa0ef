"""A nats-server of its own for each measurement: fresh store, every publish on disk before it is acknowledged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nats.aio.client import Client

from adapters.nats.server.embedded_server import EmbeddedServer


@asynccontextmanager
async def fresh_server(root: Path) -> AsyncIterator[str]:
    """Run a server with its store under *root*; gives its URL, credentials included."""
    server = EmbeddedServer(root / "jetstream", root / "nats", sync="always")
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A client connection of the benchmark's own."""
    client = await nats.connect(url, max_reconnect_attempts=3)
    try:
        yield client
    finally:
        await client.close()
