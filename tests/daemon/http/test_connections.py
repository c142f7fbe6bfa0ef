"""HTTP connections have bounds: how many there are, and how long each may keep silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from daemon.http.app import serving
from daemon.http.connections import Closed
from daemon.settings.process import HttpSettings

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, then answers with its length."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"x"})


@asynccontextmanager
async def served(closed: list[Closed], **settings: float) -> AsyncIterator[tuple[str, int]]:
    given = HttpSettings.model_validate(settings)
    async with serving(app, given, port=0, on_closed=closed.append) as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(-1), 5)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"])
async def test_a_request_whose_head_does_not_come_is_not_waited_for(sent: bytes) -> None:
    closed: list[Closed] = []
    async with served(closed, headers_timeout_s=0.2) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        assert await until_closed(reader) == b""
        writer.close()
    assert closed == [Closed.HEADERS]


async def test_a_body_that_stands_still_is_not_waited_for() -> None:
    closed: list[Closed] = []
    async with served(closed, idle_timeout_s=0.2) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123")
        assert await until_closed(reader) == b""
        writer.close()
    assert closed == [Closed.IDLE]


async def test_one_connection_too_many_is_closed_and_the_others_are_served() -> None:
    closed: list[Closed] = []
    async with served(closed, max_connections=2) as (host, port):
        first, second = await asyncio.open_connection(host, port), await asyncio.open_connection(host, port)
        third, writer = await asyncio.open_connection(host, port)
        assert await until_closed(third) == b""
        writer.close()
        for reader, writer in (first, second):
            for _ in range(2):
                writer.write(GET)
                assert (await reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
            writer.close()
    assert closed == [Closed.LIMIT]
