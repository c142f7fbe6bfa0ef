"""HTTP connections have bounds: how many there are, and how long each may keep silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from daemon.http.app import serving
from daemon.http.connections import Closed
from daemon.http.crowd import ASKING
from daemon.settings.process import HttpSettings
from tests.adapters.nats.waiting import eventually
from tests.support.waiting import PATIENCE_S

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


begun: list[None] = []
"""One for each request that has come as far as the application."""


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, then answers with its length."""
    begun.append(None)
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
        return await asyncio.wait_for(reader.read(-1), PATIENCE_S)
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


async def test_one_connection_too_many_takes_the_place_of_the_one_that_was_silent_for_longest() -> None:
    closed: list[Closed] = []
    async with served(closed, max_connections=2) as (host, port):
        opened = [await asyncio.open_connection(host, port) for _ in range(2)]
        reader, writer = opened[0]
        for _ in range(2):  # it speaks, and is silent anew
            writer.write(GET)
            assert (await reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
        opened.append(await asyncio.open_connection(host, port))
        assert await until_closed(opened[1][0]) == b""
        for reader, writer in (opened[0], opened[2]):
            writer.write(GET)
            assert (await reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
        for _, writer in opened:
            writer.close()
    assert closed == [Closed.LIMIT]


async def test_a_flood_of_silent_connections_keeps_nobody_from_an_answer() -> None:
    closed: list[Closed] = []
    async with served(closed, max_connections=4) as (host, port):
        flood = [await asyncio.open_connection(host, port) for _ in range(40)]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
        for _, each in (*flood, (reader, writer)):
            each.close()
    assert closed == [Closed.LIMIT] * 37


async def test_where_all_connections_are_at_work_only_health_may_be_asked_for() -> None:
    closed: list[Closed] = []
    upload = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123"
    async with served(closed, max_connections=1) as (host, port):
        working, upload_to = await asyncio.open_connection(host, port)
        begun.clear()
        upload_to.write(upload)
        await eventually(lambda: begun)
        for _ in range(2 * ASKING):
            others = [await asyncio.open_connection(host, port) for _ in range(2)]
            for (reader, writer), request, status in zip(others, (LIVEZ, GET), (b"200", b"503"), strict=True):
                writer.write(request)
                assert (await until_closed(reader)).startswith(b"HTTP/1.1 " + status), "answered, and closed"
                writer.close()
        silent = [await asyncio.open_connection(host, port) for _ in range(2 * ASKING)]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(LIVEZ)
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 200"), "those that say nothing give way to it"
        upload_to.write(b"4567890")
        assert (await working.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
        for _, each in (*silent, (reader, writer), (working, upload_to)):
            each.close()
    assert closed == [Closed.LIMIT] * (ASKING + 1)
