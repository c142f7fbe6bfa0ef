"""Two daemons share consumers and a database; one is killed. Callbacks that they turn round end up in order."""

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from sqlalchemy import text

from adapters.nats.server.embedded_server import EmbeddedServer
from contracts.gate.webhooks import signed_headers
from storage.unit_of_work import UnitOfWork
from tests.end_to_end.conftest import SECRET, until
from tests.support import databases
from tests.support.daemons import DaemonProcess
from tests.support.records.envelopes import enveloped
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.kills]

JOBS: Final = 12
PROGRESS: Final = 25
_SETTINGS: Final = """
[nats]
mode = "external"
url = "{nats_url}"
[storage]
url = "{storage_url}"
[callbacks]
secrets = ["{secret}"]
reorder_s = 600
[intake]
window = 10
max_batch = 4
ack_wait_s = 5
"""


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "store", tmp_path / "state", sync="interval")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def storage_url() -> Iterator[str]:
    with databases.postgres_server() as postgres, postgres.migrated_database() as url:
        yield url


@pytest.fixture
def pair(server: EmbeddedServer, storage_url: str, tmp_path: Path) -> Iterator[list[DaemonProcess]]:
    settings = _SETTINGS.format(nats_url=server.url, storage_url=storage_url, secret=SECRET)
    with ExitStack() as stack:
        daemons = [DaemonProcess(tmp_path / name, settings) for name in ("one", "two")]
        for daemon in daemons:
            stack.callback(daemon.end)
            daemon.start()
        yield daemons


class Outside:
    """Everybody who is no daemon."""

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self.js = nc.jetstream(timeout=PATIENCE_S)

    async def ask(self, name: str, payload: dict[str, object]) -> Any:
        reply = await self.nc.request(f"hg.cmd.{name}", _envelope(name, payload), timeout=PATIENCE_S)
        return json.loads(reply.data)["payload"]["result"]

    async def report(self, job_id: str, sequence: int, status: str) -> None:
        event_id = f"{job_id}:{sequence}"
        said: dict[str, object] = {"event_id": event_id, "attempt": 1, "sequence": sequence, "status": status}
        body = _envelope("job.status", {**said, "cost_usd": "0.01"}, event_id)
        headers = signed_headers([SECRET], event_id, int(time.time()), body)
        await self.js.publish(f"hg.callback.job.{job_id}", body, headers=headers)

    async def unacknowledged(self) -> int:
        info = await self.js.consumer_info("HG_CALLBACK", "headgate-callback")
        return int(info.num_pending or 0) + int(info.num_ack_pending or 0)


def _envelope(kind: str, payload: dict[str, object], message_id: str | None = None) -> bytes:
    envelope = enveloped(kind, payload, message_id=message_id, producer="worker-1")
    return json.dumps(envelope).encode()


def _steps() -> list[str]:
    """What a worker says of one job, in order."""
    return ["TRANSCRIBING"] * PROGRESS + ["DRAFTING"] * PROGRESS + ["AWAITING_APPROVAL"]


async def test_callbacks_that_two_daemons_and_a_kill_turn_round_end_up_in_order(
    server: EmbeddedServer, storage_url: str, pair: list[DaemonProcess]
) -> None:
    nc = await nats.connect(server.url)
    outside = Outside(nc)
    project = await outside.ask("project.create", {"name": "p"})
    ids: list[str] = []
    for _ in range(JOBS):
        made = await outside.ask("job.create", {"project_id": project["project_id"], "title": "t", "prompt": "p"})
        ids.append(made["job_id"])
        await outside.ask("job.run", {"job_id": made["job_id"]})

    steps = _steps()
    for sequence, status in enumerate(steps, 1):
        for job_id in ids:
            await outside.report(job_id, sequence, status)
        if sequence == len(steps) // 3:
            await asyncio.to_thread(pair[0].kill9)
        if sequence == 2 * len(steps) // 3:
            await asyncio.to_thread(pair[0].start)

    async def all_settled() -> bool:
        return await outside.unacknowledged() == 0

    await until(all_settled)
    await nc.close()
    early = sum([await asyncio.to_thread(_early, daemon.http_url) for daemon in pair])
    async with databases.opened(storage_url) as database:
        found = await database.read(_read)
    assert found == {
        "dead_letters": [(0,)],
        "jobs": [("AWAITING_APPROVAL", len(steps), len(steps) * 10_000)] * JOBS,
        "callback_events": [(JOBS * len(steps),)],
        "ways": [("UPLOADED QUEUED TRANSCRIBING DRAFTING AWAITING_APPROVAL",)] * JOBS,
    }
    assert early > 0, "nothing came too early: this run proved nothing"


_QUESTIONS: Final = {
    "dead_letters": "SELECT count(*) FROM dead_letters",
    "jobs": "SELECT status, last_sequence, actual_cost_usd_micros FROM jobs",
    "callback_events": "SELECT count(*) FROM callback_events",
    "ways": "SELECT string_agg(to_state, ' ' ORDER BY version) FROM job_events GROUP BY job_id",
}


def _read(uow: UnitOfWork) -> dict[str, list[tuple[Any, ...]]]:
    return {name: [tuple(row) for row in uow.connection.execute(text(ask))] for name, ask in _QUESTIONS.items()}


def _early(http_url: str) -> float:
    """How many callbacks waited in a daemon's hands because they came too early."""
    with urllib.request.urlopen(f"{http_url}/metrics", timeout=PATIENCE_S) as answer:
        metrics = answer.read().decode()
    found = re.search(r"^headgate_messages_early_total ([0-9.]+)", metrics, re.MULTILINE)
    return 0.0 if found is None else float(found[1])
