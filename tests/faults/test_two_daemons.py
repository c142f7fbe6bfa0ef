"""Two daemons on one database and one server: they start at once, share the work, and outlive each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from adapters.nats.server.embedded_server import EmbeddedServer
from tests.adapters.nats.waiting import eventually_awaited
from tests.faults.load import (
    all_worked_on,
    asking,
    expect_account,
    expect_exact,
    expect_letters_told_once,
    expect_told_once,
    load_on,
    nothing_to_tell,
    outbox_is_empty,
)
from tests.support.commands import get, metric
from tests.support.daemons import DaemonProcess, eventually
from tests.support.databases import postgres_server

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.kills]


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    made = EmbeddedServer(tmp_path / "store", tmp_path / "state", sync="interval")
    await made.start()
    yield made
    await made.stop()


def taken(daemon: DaemonProcess) -> float:
    return metric(daemon.http_url, "headgate_messages_total")


_SETTINGS: Final = """
[nats]
mode = "external"
url = "{nats_url}"
[storage]
url = "{storage_url}"
[intake]
ack_wait_s = 2
window = 50
max_batch = 50
"""


@asynccontextmanager
async def pair_of_daemons(
    folder: Path, server: EmbeddedServer, storage_url: str
) -> AsyncIterator[tuple[DaemonProcess, DaemonProcess]]:
    """Two that start at once and are ready; whatever became of them, none is left."""
    settings = _SETTINGS.format(nats_url=server.url, storage_url=storage_url)
    one, two = (DaemonProcess(folder / name, settings) for name in ("one", "two"))
    try:
        for daemon in (one, two):
            daemon.start(wait=False)
        for daemon in (one, two):
            await asyncio.to_thread(daemon.wait_ready)
        yield one, two
    finally:
        for daemon in (one, two):
            await asyncio.to_thread(daemon.end)


async def test_two_daemons_that_start_at_once_share_the_work_and_one_takes_over_from_the_other(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    database = tmp_path / "shared" / "headgate.db"
    async with pair_of_daemons(tmp_path, server, f"sqlite:///{database}") as pair:
        one, two = pair
        async with load_on(server.url) as load:
            await asyncio.to_thread(eventually, lambda: min(map(taken, pair)) > 50)
            await asyncio.to_thread(one.kill9)
            stored = load.size
            await asyncio.to_thread(eventually, lambda: load.size > stored + 100)
            await asyncio.to_thread(one.start)
            again = await asyncio.to_thread(taken, one)
            await asyncio.to_thread(eventually, lambda: taken(one) > again + 20)
        await eventually_awaited(lambda: all_worked_on(server.url))
        await asyncio.to_thread(eventually, lambda: outbox_is_empty(database))
        expect_account(database, load)
        await expect_letters_told_once(server.url, database)
        for daemon in pair:
            assert await asyncio.to_thread(daemon.terminate) == 0
        assert "Traceback" not in str([*one.logs, *two.logs])


def is_ready(daemon: DaemonProcess) -> bool:
    return get(f"{daemon.http_url}/readyz")[0] == 200


@pytest.mark.postgres
async def test_two_daemons_on_postgresql_outlive_its_restart_and_the_end_of_one(
    tmp_path: Path, server: EmbeddedServer
) -> None:
    with postgres_server() as postgres, postgres.empty_database() as url:
        name = url.partition("?")[0].rpartition("/")[2]
        ask = asking(postgres, name)
        async with pair_of_daemons(tmp_path, server, url) as pair:
            one, two = pair
            async with load_on(server.url) as load:
                await asyncio.to_thread(eventually, lambda: min(map(taken, pair)) > 50)
                await asyncio.to_thread(postgres.stop)
                await asyncio.to_thread(eventually, lambda: not any(map(is_ready, pair)))
                await asyncio.to_thread(postgres.start)
                await asyncio.to_thread(eventually, lambda: all(map(is_ready, pair)))
                await asyncio.to_thread(one.kill9)
                before = taken(two)
                await asyncio.to_thread(eventually, lambda: taken(two) > before + 100)
                await asyncio.to_thread(one.start)
            await eventually_awaited(lambda: all_worked_on(server.url))
            await asyncio.to_thread(eventually, lambda: nothing_to_tell(ask))
            expect_exact(ask, load)
            await expect_told_once(server.url, ask)
            for daemon in pair:
                assert await asyncio.to_thread(daemon.terminate) == 0
