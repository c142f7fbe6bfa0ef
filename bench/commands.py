"""Commands by request/reply, 64 in flight: reads and writes a second."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import orjson
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from bench.daemon_process import Home, daemon
from bench.server import connected
from bench.streams import BenchError

IN_FLIGHT: Final = 64
WARM_UP: Final = 256
_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class CommandRates:
    """Commands a second."""

    reads: float
    writes: float


async def measure_commands(commands: int, work_dir: Path) -> CommandRates:
    """`project.create` writes, `project.get` reads, against a daemon on its embedded server."""
    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure(commands_per_second=1_000_000)
        async with daemon(home) as running, connected(running.nats_url) as client:
            caller = _Caller(client)
            created = await caller.call("project.create", {"name": "measured"})
            read = {"project_id": created["project_id"]}
            await caller.rate("project.get", read, WARM_UP)
            reads = await caller.rate("project.get", read, commands)
            await caller.rate("project.create", {"name": "warm"}, WARM_UP)
            writes = await caller.rate("project.create", {"name": "another"}, commands)
    return CommandRates(reads=reads, writes=writes)


class _Caller:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def rate(self, command: str, payload: Mapping[str, str], count: int) -> float:
        """Commands a second, every reply checked; each is a command of its own (a new message id)."""
        bodies = iter([_envelope(command, payload) for _ in range(count)])
        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._work_through(command, bodies))
        return count / (time.perf_counter() - started)

    async def call(self, command: str, payload: Mapping[str, str]) -> dict[str, str]:
        return await self._ask(command, _envelope(command, payload))

    async def _work_through(self, command: str, bodies: Iterator[bytes]) -> None:
        for body in bodies:
            await self._ask(command, body)

    async def _ask(self, command: str, body: bytes) -> dict[str, str]:
        try:
            answered = await self._client.request(f"hg.cmd.{command}", body, timeout=_TIMEOUT_S)
        except (NoRespondersError, NatsTimeoutError) as error:
            raise BenchError(f"{command} was not answered: {error}") from error
        reply = orjson.loads(answered.data)
        answer: dict[str, dict[str, str]] = reply["payload"]
        if "error" in answer:
            raise BenchError(f"{command} was refused: {answer['error']}")
        return answer["result"]


def _envelope(command: str, payload: Mapping[str, str]) -> bytes:
    return orjson.dumps(
        {
            "envelope_version": 2,
            "kind": command,
            "schema_version": "1.0",
            "message_id": f"bench:{uuid4().hex}",
            "trace_id": str(uuid4()),
            "created_at": datetime.now(UTC).isoformat(),
            "producer": "bench",
            "payload": payload,
        }
    )
