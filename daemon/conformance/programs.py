"""Programs under trial: how long they are waited for, how they are started and ended, and the server that they get."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.server.embedded_server import EmbeddedServer

_LOOK_S: Final = 0.05
_STOP_S: Final = 10.0
_CONNECT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited: for a program to come, for what it does to end, for what must not come."""

    program_s: float = 60.0
    work_s: float = 120.0
    quiet_s: float = 5.0


async def until(fact: Callable[[], bool | Awaitable[bool]], within_s: float) -> bool:
    """Whether *fact* became true in time."""

    async def holds() -> bool:
        found = fact()
        return found if isinstance(found, bool) else await found

    deadline = asyncio.get_running_loop().time() + within_s
    while not await holds():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


async def started(command: Sequence[str], variables: Mapping[str, str]) -> asyncio.subprocess.Process:
    """The command as a process that says nothing here. Raises ``OSError`` where there is no such program."""
    return await asyncio.create_subprocess_exec(
        *command, env=os.environ | dict(variables), stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


async def stop(process: asyncio.subprocess.Process) -> None:
    """End it, gently first."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def own_server(folder: Path) -> AsyncIterator[tuple[Client, str]]:
    """A server in *folder*, a connection to it, and its URL. Raises :class:`adapters.errors.AdapterError`."""
    server = EmbeddedServer(folder / "store", folder / "state", sync="interval")
    await server.start()
    try:
        watch = ConnectionWatch()
        broker = make_broker(server.url, watch=watch, name="headgate-conformance")
        client = await connect(broker, server.url, watch, _CONNECT_S)
        try:
            yield client, server.url
        finally:
            await client.close()
    finally:
        await server.stop()
