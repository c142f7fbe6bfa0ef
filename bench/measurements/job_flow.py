"""Jobs from their creation to the end of their work: created and run by owners, worked on and reported by a worker.

Each job is two commands, a work message, three callbacks (a success passes three states), and all the events and views
that follow from them, with all promises kept: validated, idempotent, in the database with fsync, told through the
outbox.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.cancellation import cancel_and_wait
from adapters.nats.direct_parser import parse_directly
from adapters.nats.lenient_decoding import read_any_bytes
from adapters.nats.outgoing import Outgoing
from adapters.nats.publisher import StreamPublisher
from adapters.nats.streams.pull import ContinuousPull
from bench.measurements.commands import IN_FLIGHT, Caller, envelope
from bench.setting.daemon_process import Home, daemon
from bench.setting.server import connected
from bench.setting.streams import BenchError
from contracts.subjects import Family, Subjects, work_consumer

_NAMES: Final = Subjects()
_STEPS: Final = ("TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL")
_AT_ONCE: Final = 500
_TIMEOUT_S: Final = 120.0
_CONSUMER: Final = work_consumer("job.process")


async def measure_job_flow(jobs: int, work_dir: Path) -> float:
    """Jobs a second, from the first command to the event that tells of the last job's end of work."""
    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure(commands_per_second=1_000_000)
        async with daemon(home) as running, _lean_client(running.nats_url) as client, _worker(running.nats_url):
            caller = Caller(client)
            project = await caller.call("project.create", {"name": "measured"})
            await _flow(client, caller, project["project_id"], IN_FLIGHT)
            return await _flow(client, caller, project["project_id"], jobs)


async def _flow(client: Client, caller: Caller, project_id: str, jobs: int) -> float:
    finished = asyncio.Event()
    ended = 0

    async def on_transition(event: Msg) -> None:
        nonlocal ended
        ended += orjson.loads(event.data)["payload"]["to"] == _STEPS[-1]
        if ended == jobs:
            finished.set()

    listener = await client.subscribe("hg.event.job.*.transitioned", cb=on_transition)
    await client.flush()
    new = {"project_id": project_id, "title": "measured", "prompt": "Say it"}
    left = iter(range(jobs))

    async def owner() -> None:
        for _ in left:
            job = await caller.call("job.create", new)
            await caller.call("job.run", {"job_id": job["job_id"]})

    started = time.perf_counter()
    async with asyncio.TaskGroup() as owners:
        for _ in range(IN_FLIGHT):
            owners.create_task(owner())
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await finished.wait()
    except TimeoutError:
        raise BenchError(f"of {jobs} jobs only {ended} were worked on in {_TIMEOUT_S:g} s") from None
    seconds = time.perf_counter() - started
    await listener.unsubscribe()
    return jobs / seconds


@asynccontextmanager
async def _lean_client(url: str) -> AsyncIterator[Client]:
    """A client that reads as the daemon's does: what asks and listens shares two cores with what is measured, and the
    library spends more on the headers of an event that nobody looks at than on everything else about it."""
    async with connected(url) as client:
        read_any_bytes(client)
        parse_directly(client)
        yield client


@asynccontextmanager
async def _worker(url: str) -> AsyncIterator[None]:
    """A worker that has nothing to do but to report."""
    async with _lean_client(url) as client:
        stream = _NAMES.stream(Family.WORK)
        pull = ContinuousPull(client, stream=stream, consumer=_CONSUMER, prefix=_NAMES.prefix)
        await pull.start()
        working = asyncio.create_task(_work(pull, StreamPublisher(client)))
        try:
            yield
        finally:
            await cancel_and_wait([working])
            await pull.drain()


async def _work(pull: ContinuousPull, publisher: StreamPublisher) -> None:
    while taken := await pull.take(_AT_ONCE):
        orders = [orjson.loads(delivery.body) for delivery in taken]
        reports = [_report(order, sequence, status) for sequence, status in enumerate(_STEPS, 1) for order in orders]
        await publisher.publish(_NAMES.stream(Family.CALLBACK), reports)
        await pull.ack(taken)


def _report(work: Mapping[str, Any], sequence: int, status: str) -> Outgoing:
    order = work["payload"]
    event_id = f"{order['work_id']}:{sequence}"
    said: dict[str, str | int] = {"event_id": event_id, "attempt": 1, "sequence": sequence, "status": status}
    body = envelope("job.status", said, event_id, work["trace_id"])
    return Outgoing(f"hg.callback.job.{order['job_id']}", body, event_id)
