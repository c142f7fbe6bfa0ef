"""Connections that say nothing, and a process without a free descriptor: neither ends the daemon or its server."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.adapters.nats.waiting import eventually_awaited
from tests.contracts.samples import envelope, usage
from tests.daemon.operations.operating import operating
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.fresh]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path) as ready:
        yield ready


def server_pid(daemon: DaemonProcess) -> int:
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii").split()
    (pid,) = [int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == "nats-server\n"]
    return pid


def allow_descriptors(daemon: DaemonProcess, count: int) -> None:
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (count, hard))


def open_descriptors(daemon: DaemonProcess) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


async def is_ready(daemon: DaemonProcess) -> bool:
    status, _ = await asyncio.to_thread(get, f"{daemon.http_url}/readyz")
    return status == 200


async def test_more_idle_connections_than_descriptors_do_not_end_the_daemon(daemon: DaemonProcess) -> None:
    allow_descriptors(daemon, 1_024)
    nats_server, parts = server_pid(daemon), urlsplit(daemon.http_url)
    address = (str(parts.hostname), int(parts.port or 0))
    opened = []
    try:
        for number in range(1_050):
            opened.append(socket.create_connection(address, timeout=PATIENCE_S))
            if not number % 50:
                status, _ = await asyncio.to_thread(get, f"{daemon.http_url}/livez")
                assert status == 200, "a probe of the supervisor is answered all the while"
        async with operating(daemon) as operator:
            health = await operator.result("health-check")
            await operator.publish(envelope(usage(session_id="idle"), message_id="m-idle"))
        descriptors = open_descriptors(daemon)
    finally:
        for each in opened:
            each.close()

    assert health["status"] == "healthy"
    assert descriptors < 1_024 / 2, "the others are for database and broker"
    assert server_pid(daemon) == nats_server
    await eventually_awaited(lambda: is_ready(daemon))


async def test_a_process_without_a_free_descriptor_waits_and_comes_back(daemon: DaemonProcess) -> None:
    nats_server = server_pid(daemon)
    allowed = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[0]
    allow_descriptors(daemon, 3)
    async with operating(daemon) as operator:
        for number in range(20):
            await operator.publish(envelope(usage(session_id="none-free"), message_id=f"none-free-{number}"))
        await asyncio.sleep(12)  # two probes of the server, and two beats of the lease
        allow_descriptors(daemon, allowed)
        await eventually_awaited(lambda: is_ready(daemon))
        await operator.publish(envelope(usage(session_id="none-free"), message_id="again"))

        async def taken() -> bool:
            reply = await operator.nc.request(
                "hg.cmd.ledger.get",
                orjson.dumps(envelope({"session_id": "none-free"}, "ledger.get", "1.0", producer="operator")),
                timeout=PATIENCE_S,
            )
            return b'"requests":21' in reply.data

        await eventually_awaited(taken)
    assert server_pid(daemon) == nats_server, "a healthy server is not restarted for it"
    eventually(lambda: not daemon.events("nats_server_ended"))
