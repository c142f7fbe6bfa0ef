"""A real HTTP server of a few lines, for what other people's servers may do to us."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson


@dataclass(frozen=True, slots=True)
class Request:
    """What was received."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return orjson.loads(self.body)


Behave: TypeAlias = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class FakeServer:
    """Answers each request as the next behaviour says, the last one for ever."""

    behaviours: list[Behave]
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(request_line.split()[1], headers, body)
            self.requests.append(request)
            behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
            await behave(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def answers(status: int, body: str = "", **headers: str) -> Behave:
    """An answer like any other; underscores in header names are dashes."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        await writer.drain()

    return behave


async def closes_early(_: Request, writer: asyncio.StreamWriter) -> None:
    """The connection ends in the middle of the head of the answer."""
    writer.write(b"HTTP/1.1 200")
    await writer.drain()


async def drips(_: Request, writer: asyncio.StreamWriter) -> None:
    """A head that never ends: each read succeeds, the answer never comes."""
    writer.write(b"HTTP/1.1 200 ok\r\n")
    while True:
        writer.write(b"x-more: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def fake_server(*behaviours: Behave) -> AsyncIterator[FakeServer]:
    """A server on a free port of loopback."""
    fake = FakeServer(list(behaviours))
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
