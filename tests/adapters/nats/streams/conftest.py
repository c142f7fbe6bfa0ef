from collections.abc import AsyncIterator

import pytest_asyncio
from nats.aio.client import Client

from tests.adapters.nats.streams.pulling import PullOf, provisioned, pulls


@pytest_asyncio.fixture
async def stream(nc: Client, prefix: str) -> str:
    return await provisioned(nc, prefix)


@pytest_asyncio.fixture
async def pull_of(nc: Client, stream: str, prefix: str) -> AsyncIterator[PullOf]:
    async with pulls(nc, stream, prefix) as make:
        yield make
