"""A disk that is full, under the database or under the streams: nothing is lost, and room is all that it takes."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.nats.waiting import eventually_awaited
from tests.faults.load import (
    all_worked_on,
    expect_account,
    expect_letters_told_once,
    fixed_server,
    load_on,
    outbox_is_empty,
    reading,
)
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, eventually, running_daemon

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.kills]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 MiB of the test's own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(ballast: Path) -> None:
    """Leave no room beside the file *ballast*."""
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write_for_ever(ballast)


def write_for_ever(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def notices(daemon: DaemonProcess, ballast: Path) -> bool:
    """Whether the daemon is not ready any more; room that it makes is taken again."""
    fill(ballast)
    return not ready(daemon)


def ready(daemon: DaemonProcess) -> bool:
    return get(f"{daemon.http_url}/readyz")[0] == 200


async def test_a_full_disk_under_the_database_pauses_intake_until_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    database = small_disk / "headgate.db"
    settings = fixed_server(f'url = "sqlite:///{database}"')
    with running_daemon(tmp_path / "home", settings) as daemon:
        url = daemon.nats_url
        async with load_on(url) as load:
            await asyncio.to_thread(eventually, lambda: load.size > 100)
            ballast = small_disk / "ballast"
            await asyncio.to_thread(eventually, lambda: notices(daemon, ballast))
            stored = load.size
            await asyncio.to_thread(eventually, lambda: load.size > stored + 100)
            with reading(database) as ask:
                assert ask("SELECT count(*) FROM dead_letters WHERE code != 'VALIDATION_ERROR'") == [(0,)]
            ballast.unlink()
            await asyncio.to_thread(eventually, lambda: ready(daemon))
        await eventually_awaited(lambda: all_worked_on(url))
        await asyncio.to_thread(eventually, lambda: outbox_is_empty(database))
        expect_account(database, load)
        await expect_letters_told_once(url, database)
        assert daemon.events("storage_away")


async def test_a_full_disk_under_the_streams_is_noticed_and_cured_once_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    settings = fixed_server().replace("[nats]\n", f'[nats]\nstore_dir = "{small_disk / "store"}"\n')
    with running_daemon(tmp_path / "home", settings) as daemon:
        url = daemon.nats_url
        async with load_on(url) as load:
            await asyncio.to_thread(eventually, lambda: load.size > 100)
            ballast = small_disk / "ballast"
            await asyncio.to_thread(eventually, lambda: notices(daemon, ballast))
            ballast.unlink()
            await asyncio.to_thread(eventually, lambda: ready(daemon))
            stored = load.size
            await asyncio.to_thread(eventually, lambda: load.size > stored + 100)
        await eventually_awaited(lambda: all_worked_on(url))
        await asyncio.to_thread(eventually, lambda: outbox_is_empty(daemon.database))
        expect_account(daemon.database, load)
