"""The largest messages that a server takes, one after the other and on every stream: memory stays bounded."""

import asyncio
import urllib.request
from pathlib import Path

import nats
import pytest

from tests.adapters.nats.waiting import eventually_awaited
from tests.chaos.load.hostile import COSTLY
from tests.faults.load import all_worked_on
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.fresh]

LARGE = int(7.9 * 2**20)
MESSAGES = 21
MOST_MIB = 200
"""An idle daemon has 95, and all messages are 166."""


def peak_mib(daemon: DaemonProcess) -> float:
    """The most memory that the process ever had."""
    status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def loop_s(daemon: DaemonProcess) -> float:
    """Processor time of the thread with the daemon's loop: what an answer waits for where nothing else runs."""
    nanoseconds, *_ = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/schedstat").read_text(encoding="ascii").split()
    return int(nanoseconds) / 1e9


@pytest.mark.parametrize("byte", [b"x", b"\xff", b'"'])
async def test_the_largest_bodies_keep_memory_under_its_bound_and_the_daemon_answering(
    tmp_path: Path, byte: bytes
) -> None:
    with running_daemon(tmp_path) as daemon:
        url = daemon.nats_url
        client = await nats.connect(url)
        subjects = ("hg.ingest.session.usage", "hg.callback.job.x", "hg.replay.x")
        for number in range(MESSAGES):
            await client.jetstream().publish(subjects[number % len(subjects)], byte * LARGE, timeout=PATIENCE_S)
        await client.close()
        livez = f"{daemon.http_url}/livez"
        await eventually_awaited(lambda: all_worked_on(url))
        with await asyncio.to_thread(urllib.request.urlopen, livez, timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        assert peak_mib(daemon) <= MOST_MIB


async def slowest_answer_s(daemon: DaemonProcess) -> float:
    """The longest that the loop worked between a question and its answer, while bodies that cost are worked on."""
    client = await nats.connect(daemon.nats_url)
    for _, kind, write in COSTLY:
        body = write()
        for _ in range(10):
            await client.jetstream().publish(f"hg.ingest.{kind}", body)
    await client.close()
    slowest = 0.0
    while not await all_worked_on(daemon.nats_url):
        began = loop_s(daemon)
        with await asyncio.to_thread(urllib.request.urlopen, f"{daemon.http_url}/livez", timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        slowest = max(slowest, loop_s(daemon) - began)
    return slowest


async def test_bodies_made_to_cost_do_not_keep_the_daemon_from_answering(tmp_path: Path) -> None:
    """Where the test itself got no processor for a while, it was not the loop that let it wait: of three times, one."""
    with running_daemon(tmp_path) as daemon:
        waits: list[float] = []
        while not waits or (waits[-1] >= 1 and len(waits) < 3):
            waits.append(await slowest_answer_s(daemon))
        assert min(waits) < 1, waits
        assert not daemon.events("nats_disconnected")
