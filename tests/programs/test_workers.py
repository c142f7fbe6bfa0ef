"""The workers of docs/workers.md, run against a real daemon that demands signatures."""

import asyncio
import json
import os
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from tests.adapters.nats.waiting import eventually_awaited
from tests.programs.conftest import program
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.records.envelopes import enveloped
from tests.support.results import check_result
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.kills]

SECRET = "whsec_" + b64encode(b"w" * 32).decode()
SETTINGS = f'[callbacks]\nsecrets = ["{SECRET}"]\n'
WITHIN_S = 60.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path / "home", SETTINGS) as running:
        yield running


@pytest_asyncio.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    nc = await nats.connect(daemon.nats_url)
    yield nc
    await nc.close()


@pytest.fixture(params=["python", "typescript"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """How the worker of a language is started."""
    if request.param == "python":
        file = tmp_path / "worker.py"
        file.write_text(program("workers.md", "worker.py"), encoding="utf-8")
        return [sys.executable, str(file)]
    folder: Path = request.getfixturevalue("compiled")
    return ["node", str(folder / "out" / "worker.js")]


class RunningWorker:
    """A worker's process, and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def worker(command: list[str], daemon: DaemonProcess, step_s: float = 0.05) -> AsyncIterator[RunningWorker]:
    variables = {"NATS_URL": daemon.nats_url, "CALLBACK_SECRET": SECRET, "STEP_S": str(step_s)}
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | variables, stdout=asyncio.subprocess.PIPE)
    try:
        running = RunningWorker(process)
        assert await running.line() == "waiting for work"
        yield running
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(WITHIN_S):
                await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def ask(nc: Client, kind: str, **payload: object) -> dict[str, Any]:
    envelope = enveloped(kind, payload, producer="programs")
    reply = await nc.request(f"hg.cmd.{kind}", json.dumps(envelope).encode(), timeout=PATIENCE_S)
    answer = json.loads(reply.data)["payload"]
    assert answer["status"] < 300, answer
    check_result(kind, answer)
    found: dict[str, Any] = answer["result"]
    return found


async def running_job(nc: Client, **source: str) -> str:
    project = await ask(nc, "project.create", name="programs")
    job = await ask(nc, "job.create", project_id=project["project_id"], title="A film", **source)
    if not source:
        await ask(nc, "job.confirm-upload", job_id=job["job_id"], video_uri="https://files.example/in.mp4")
    await ask(nc, "job.run", job_id=job["job_id"])
    return str(job["job_id"])


async def until_status(nc: Client, job_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(WITHIN_S):
        while (job := await ask(nc, "job.get", job_id=job_id))["status"] != status:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.05)
    return job


async def test_a_worker_of_the_page_drafts_what_a_job_asks_for(
    command: list[str], daemon: DaemonProcess, client: Client
) -> None:
    job_id = await running_job(client, prompt="A lighthouse at dusk")
    async with worker(command, daemon) as running:
        assert await running.line() == f"{job_id}: done"
    job = await until_status(client, job_id, "AWAITING_APPROVAL")
    transcript = await ask(client, "job.transcript", job_id=job_id)
    assert (job["progress"], job["actual_cost_usd"]) == (100, "0.003000")
    assert [segment["text"] for segment in transcript["items"]] == ["A lighthouse at dusk"]
    assert daemon.events("refused") == []


async def test_a_worker_of_the_page_says_what_it_cannot_do(
    command: list[str], daemon: DaemonProcess, client: Client
) -> None:
    async with worker(command, daemon) as running:
        job_id = await running_job(client)
        assert await running.line() == f"{job_id}: failed: UNSUPPORTED_INPUT"
    job = await until_status(client, job_id, "FAILED")
    assert job["error"]["code"] == "UNSUPPORTED_INPUT"


async def test_a_worker_of_the_page_stops_when_its_job_is_cancelled(
    command: list[str], daemon: DaemonProcess, client: Client
) -> None:
    async with worker(command, daemon, step_s=2.0) as running:
        job_id = await running_job(client, prompt="A long film")
        await until_status(client, job_id, "TRANSCRIBING")
        await ask(client, "job.cancel", job_id=job_id)
        assert await running.line() == f"{job_id}: cancelled"
    assert (await ask(client, "job.get", job_id=job_id))["status"] == "CANCELLED"

    async def nothing_left() -> bool:
        return not (await client.jetstream().stream_info("HG_WORK")).state.messages

    await eventually_awaited(nothing_left)


async def test_the_producer_of_the_page_prints_what_became_of_its_records(
    compiled: Path, daemon: DaemonProcess
) -> None:
    async def published() -> list[list[str]]:
        process = await asyncio.create_subprocess_exec(
            *("node", str(compiled / "out" / "producer.js")),
            env=os.environ | {"NATS_URL": daemon.nats_url, "RUN": "one"},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(WITHIN_S):
            out, _ = await process.communicate()
        assert process.returncode == 0
        return [line.split()[1:] for line in out.decode().splitlines()]

    first = await published()
    refused = ["refused", "400", "VALIDATION_ERROR"]
    assert first == [["accepted", "201"], ["accepted", "201"], refused, ["accepted", "201"]]
