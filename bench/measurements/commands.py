"""Commands by request/reply, 64 in flight, and callbacks: reads, writes and reports a second."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import orjson
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from adapters.nats.outgoing import Outgoing
from adapters.nats.publisher import StreamPublisher
from bench.setting.daemon_process import Daemon, Home, daemon
from bench.setting.server import connected
from bench.setting.streams import BenchError, ConsumerWatch
from contracts.subjects import Family, Subjects

IN_FLIGHT: Final = 64
WARM_UP: Final = 256
JOBS: Final = 200
_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class CommandRates:
    """Commands a second, and callbacks a second from the publish of the first to the acknowledgement of the last."""

    reads: float
    writes: float
    callbacks: float


async def measure_commands(commands: int, work_dir: Path) -> CommandRates:
    """`job.create` writes, `job.get` reads, workers report of running jobs, against a daemon on its embedded server."""
    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure(commands_per_second=1_000_000)
        async with daemon(home) as running, connected(running.nats_url) as client:
            caller = Caller(client)
            project = await caller.call("project.create", {"name": "measured"})
            new = {"project_id": project["project_id"], "title": "measured", "prompt": "Say it"}
            read = {"job_id": (await caller.call("job.create", new))["job_id"]}
            await caller.rate("job.get", read, WARM_UP)
            reads = await caller.rate("job.get", read, commands)
            await caller.rate("job.create", new, WARM_UP)
            writes = await caller.rate("job.create", new, commands)
            jobs = [(await caller.call("job.create", new))["job_id"] for _ in range(JOBS)]
            for job_id in jobs:
                await caller.call("job.run", {"job_id": job_id})
            callbacks = await _callback_rate(client, running, jobs, commands)
    return CommandRates(reads=reads, writes=writes, callbacks=callbacks)


async def _callback_rate(client: Client, running: Daemon, jobs: Sequence[str], count: int) -> float:
    """Progress of all jobs in turn, each report a message of its own; every one of them must have been accepted."""
    stream = Subjects().stream(Family.CALLBACK)
    reports = [_report(jobs[number % len(jobs)], number // len(jobs) + 1) for number in range(count)]
    watch = ConsumerWatch(client, Subjects().consumer(Family.CALLBACK), stream)
    publisher = StreamPublisher(client)
    started = time.perf_counter()
    published = await publisher.publish(stream, reports)
    if not all(answer.is_settled for answer in published):
        raise BenchError("the stream did not take all callbacks")
    await watch.done(count, running.process, _TIMEOUT_S * 3)
    seconds = time.perf_counter() - started
    await publisher.close()
    refused = await client.jetstream().stream_info(Subjects().stream(Family.DEAD))
    if refused.state.messages:
        raise BenchError(f"{refused.state.messages} callbacks were refused")
    return count / seconds


def _report(job_id: str, sequence: int) -> Outgoing:
    event_id = f"{job_id}:{sequence}"
    payload: dict[str, str | int] = {
        "event_id": event_id,
        "attempt": 1,
        "sequence": sequence,
        "status": "TRANSCRIBING",
        "progress": 1,
    }
    return Outgoing(f"hg.callback.job.{job_id}", envelope("job.status", payload, event_id), event_id)


class Caller:
    """An owner with any number of commands in flight."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def rate(self, command: str, payload: Mapping[str, str], count: int) -> float:
        """Commands a second, every reply checked; each is a command of its own (a new message id)."""
        bodies = iter([envelope(command, payload) for _ in range(count)])
        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._work_through(command, bodies))
        return count / (time.perf_counter() - started)

    async def call(self, command: str, payload: Mapping[str, object]) -> dict[str, Any]:
        """The result of one command. Raises :class:`BenchError` where it is refused."""
        return await self._ask(command, envelope(command, payload))

    async def report(self, job_id: str, attempt: int, sequence: int, **said: object) -> None:
        """A callback of a job, stored by its stream when this returns."""
        event_id = uuid4().hex
        payload = {"event_id": event_id, "attempt": attempt, "sequence": sequence, **said}
        body = envelope("job.status", payload, event_id)
        await self._client.jetstream().publish(f"hg.callback.job.{job_id}", body)

    async def _work_through(self, command: str, bodies: Iterator[bytes]) -> None:
        for body in bodies:
            await self._ask(command, body)

    async def _ask(self, command: str, body: bytes) -> dict[str, Any]:
        try:
            answered = await self._client.request(f"hg.cmd.{command}", body, timeout=_TIMEOUT_S)
        except (NoRespondersError, NatsTimeoutError) as error:
            raise BenchError(f"{command} was not answered: {error}") from error
        reply = orjson.loads(answered.data)
        answer: dict[str, dict[str, Any]] = reply["payload"]
        if "error" in answer:
            raise BenchError(f"{command} was refused: {answer['error']}")
        return answer["result"]


def envelope(
    kind: str, payload: Mapping[str, object], message_id: str | None = None, trace_id: str | None = None
) -> bytes:
    """A message of the benchmark's own; what answers another has its trace."""
    return orjson.dumps(
        {
            "envelope_version": 2,
            "kind": kind,
            "schema_version": "1.0",
            "message_id": message_id or f"bench:{uuid4().hex}",
            "trace_id": trace_id or str(uuid4()),
            "created_at": datetime.now(UTC).isoformat(),
            "producer": "bench",
            "payload": payload,
        }
    )
