"""systemd: readiness and the watchdog over a real datagram socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.process.systemd import Supervisor
from tests.support.waiting import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The service manager's end of the socket, and the address as systemd writes it."""
    name = f"headgate-test-{os.getpid()}"
    bound, written = ("\0" + name, "@" + name) if request.param == "abstract" else (str(tmp_path / "notify"),) * 2
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE_S)
        receiver.bind(bound)
        yield receiver, written


def test_ready_and_stopping_are_told_with_a_status(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    supervisor = Supervisor.from_environment({"NOTIFY_SOCKET": address})
    supervisor.ready("serving")
    supervisor.status("a\nREADY=0")
    supervisor.stopping("flushing")
    assert [receiver.recv(1_000) for _ in range(3)] == [
        b"READY=1\nSTATUS=serving",
        b"STATUS=a READY=0",
        b"STOPPING=1\nSTATUS=flushing",
    ]


async def test_the_watchdog_hears_of_life_again_and_again(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    supervisor = Supervisor.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"})
    assert supervisor.watchdog_s == 0.02
    task = asyncio.create_task(supervisor.keep_alive(lambda: True))
    try:
        heard = [await asyncio.to_thread(receiver.recv, 1_000) for _ in range(3)]
    finally:
        task.cancel()
    assert heard == [b"WATCHDOG=1"] * 3


async def test_the_watchdog_hears_nothing_of_a_daemon_that_is_not_alive(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    supervisor = Supervisor(address, watchdog_s=0.002)
    asked = asyncio.Event()
    answers = iter([False, False, False])

    def is_alive() -> bool:
        alive = next(answers, None)
        if alive is None:
            asked.set()
        return bool(alive)

    task = asyncio.create_task(supervisor.keep_alive(is_alive))
    async with asyncio.timeout(PATIENCE_S):
        await asked.wait()
    task.cancel()
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):
        receiver.recv(1_000)


def test_children_do_not_inherit_the_socket() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid()), "PATH": "/bin"}
    assert Supervisor.from_environment(environment).watchdog_s == 1.0
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("variables", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}])
async def test_a_watchdog_that_watches_somebody_else_is_not_fed(variables: dict[str, str]) -> None:
    supervisor = Supervisor.from_environment({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000"} | variables)
    assert supervisor.watchdog_s is None
    async with asyncio.timeout(PATIENCE_S):
        await supervisor.keep_alive(lambda: True)  # returns at once


async def test_without_a_manager_nothing_is_sent_and_nothing_waits() -> None:
    supervisor = Supervisor.from_environment({})
    supervisor.ready("x")
    supervisor.stopping("x")
    async with asyncio.timeout(PATIENCE_S):
        await supervisor.keep_alive(lambda: True)
    assert supervisor.watchdog_s is None


def test_a_manager_that_went_away_does_not_fail_the_daemon(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Supervisor(str(tmp_path / "gone")).ready("x")
    assert "systemd_not_notified" in capfd.readouterr().out


def test_the_unit_agrees_with_what_the_daemon_does() -> None:
    unit = (REPOSITORY / "deploy" / "systemd" / "headgate.service").read_text()
    lines = set(unit.splitlines())
    assert {"Type=notify", "NotifyAccess=main", "WatchdogSec=30", "KillMode=mixed"} <= lines
