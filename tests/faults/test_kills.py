"""SIGKILL at any moment, under load, of the daemon or of its server: nothing is lost, nothing is stored twice."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from daemon.intake.in_hand import _read
from tests.adapters.nats.waiting import eventually as wait_for_fact
from tests.adapters.nats.waiting import eventually_awaited
from tests.faults.load import (
    Load,
    all_worked_on,
    chance,
    expect_account,
    expect_letters_told_once,
    fixed_server,
    load_on,
    outbox_is_empty,
)
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, eventually, running_daemon

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.kills, pytest.mark.fresh]

KILLS = 12


async def settled(daemon: DaemonProcess) -> None:
    """Every message is worked on and everything is told."""
    url = daemon.nats_url
    await eventually_awaited(lambda: all_worked_on(url))
    await asyncio.to_thread(eventually, lambda: outbox_is_empty(daemon.database))


def suspects_are_worked_off(daemon: DaemonProcess) -> bool:
    """Whether nothing is left to be worked on apart of what was in hand at former deaths."""
    _, suspects, _ = _read((daemon.state_dir / "in-hand").read_bytes().splitlines(keepends=True))
    return not suspects


async def test_a_daemon_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """What is the only message in hand at three deaths in a row is held to have caused them, and is a dead letter: on a
    slow machine chance brings that about. So of three lives one comes to an end of what the former ones left."""
    dice = chance()
    daemon = DaemonProcess(tmp_path, fixed_server())
    try:
        await asyncio.to_thread(daemon.start)
        url = daemon.nats_url
        async with load_on(url) as load:
            for kill in range(KILLS):
                if kill % 3 == 2:
                    await asyncio.to_thread(eventually, partial(suspects_are_worked_off, daemon))
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                await asyncio.to_thread(daemon.kill9)
                # Every third time it is killed while it starts.
                await asyncio.to_thread(daemon.start, wait=kill % 3 != 0)
            await asyncio.to_thread(daemon.wait_ready)
        assert load.size > 100
        await settled(daemon)
        assert daemon.nats_url == url
        expect_account(daemon.database, load)
        await expect_letters_told_once(url, daemon.database)
        assert await asyncio.to_thread(daemon.terminate) == 0
    finally:
        await asyncio.to_thread(daemon.end)


async def test_a_server_killed_under_load_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    dice = chance()
    with running_daemon(tmp_path, fixed_server()) as daemon:
        url = daemon.nats_url
        async with load_on(url) as load:
            for _ in range(3):
                await asyncio.sleep(dice.uniform(0.1, 0.6))
                await asyncio.to_thread(kill_server, daemon)
                await more_is_published(load)
        await settled(daemon)
        assert daemon.nats_url == url
        expect_account(daemon.database, load)
        await expect_letters_told_once(url, daemon.database)


def kill_server(daemon: DaemonProcess) -> None:
    """Kill the embedded server, and wait until the daemon is ready on another one."""
    restarts = len(daemon.events("nats_server_restarted"))
    daemon.kill_nats_server()
    eventually(lambda: len(daemon.events("nats_server_restarted")) > restarts)
    eventually(lambda: get(f"{daemon.http_url}/readyz")[0] == 200)


async def more_is_published(load: Load) -> None:
    size = load.size
    await wait_for_fact(lambda: load.size > size)
