"""The largest messages that a server takes, one after the other and on every stream: memory stays bounded."""

import asyncio
import time
import urllib.request
from pathlib import Path

import nats
import pytest

from tests.adapters.nats.waiting import eventually_awaited
from tests.chaos.load.hostile import COSTLY
from tests.faults.load import all_worked_on
from tests.support.daemons import DaemonProcess, running_daemon

pytestmark = [pytest.mark.process, pytest.mark.slow]

LARGE = int(7.9 * 2**20)
MESSAGES = 30
MOST_MIB = 215
"""The 200 MiB of the contract, and what a machine's allocator and threads may differ by."""


def peak_mib(daemon: DaemonProcess) -> float:
    """The most memory that the process ever had."""
    status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("byte", [b"x", b"\xff", b'"'])
async def test_the_largest_bodies_keep_memory_under_its_bound_and_the_daemon_answering(
    tmp_path: Path, byte: bytes
) -> None:
    with running_daemon(tmp_path) as daemon:
        url = daemon.nats_url
        client = await nats.connect(url)
        subjects = ("hg.ingest.session.usage", "hg.callback.job.x", "hg.replay.x")
        for number in range(MESSAGES):
            await client.jetstream().publish(subjects[number % len(subjects)], byte * LARGE, timeout=30)
        await client.close()
        livez = f"{daemon.http_url}/livez"
        await eventually_awaited(lambda: all_worked_on(url), within_s=90)
        with await asyncio.to_thread(urllib.request.urlopen, livez, timeout=1) as answer:
            assert answer.status == 200
        assert peak_mib(daemon) <= MOST_MIB


async def test_bodies_made_to_cost_do_not_keep_the_daemon_from_answering(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        url, livez = daemon.nats_url, f"{daemon.http_url}/livez"
        client = await nats.connect(url)
        for _, kind, write in COSTLY:
            body = write()
            for _ in range(10):
                await client.jetstream().publish(f"hg.ingest.{kind}", body)
        slowest = 0.0
        while not await all_worked_on(url):
            began = time.monotonic()
            with await asyncio.to_thread(urllib.request.urlopen, livez, timeout=5) as answer:
                assert answer.status == 200
            slowest = max(slowest, time.monotonic() - began)
        await client.close()
        assert slowest < 1
        assert not daemon.events("nats_disconnected")
