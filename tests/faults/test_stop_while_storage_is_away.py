"""A stop while another program holds the database: clean, and what was in hand comes again at once."""

import asyncio
from pathlib import Path

import pytest

from tests.adapters.nats.waiting import eventually_awaited
from tests.faults.load import all_worked_on, reading
from tests.faults.test_crash_storms import external, publish, server
from tests.support.daemons import DaemonProcess, eventually
from tests.support.locks import locked

pytestmark = pytest.mark.process


async def test_a_stop_while_the_database_is_locked_gives_back_what_is_in_hand_and_exits_0(tmp_path: Path) -> None:
    async with server(tmp_path / "nats") as url:
        settings = f"{external(url)}[storage]\nbusy_timeout_ms = 500\n"
        daemon = DaemonProcess(tmp_path / "home", settings)
        try:
            await asyncio.to_thread(daemon.start)
            with locked(daemon.database):
                await publish(url, (f"m-{number}" for number in range(50)))
                await asyncio.to_thread(eventually, lambda: daemon.events("storage_away"))
                assert await asyncio.to_thread(daemon.terminate) == 0
            assert not [line for line in daemon.logs if line.get("level") == "error"]
            await asyncio.to_thread(daemon.start)
            await eventually_awaited(lambda: all_worked_on(url))
            with reading(daemon.database) as ask:
                assert ask("SELECT count(*) FROM session_usage") == [(50,)]
                assert ask("SELECT count(*) FROM dead_letters") == [(0,)]
        finally:
            await asyncio.to_thread(daemon.end)


async def test_what_was_given_back_to_a_server_that_ends_too_comes_again_at_once(tmp_path: Path) -> None:
    """The server keeps in memory alone what it is to deliver again: it ends with the daemon that it belongs to."""
    settings = "[storage]\nbusy_timeout_ms = 500\n[intake]\nack_wait_s = 600\n"
    daemon = DaemonProcess(tmp_path / "home", settings)
    try:
        await asyncio.to_thread(daemon.start)
        with locked(daemon.database):
            await publish(daemon.nats_url, (f"m-{number}" for number in range(50)))
            await asyncio.to_thread(eventually, lambda: daemon.events("storage_away"))
            assert await asyncio.to_thread(daemon.terminate) == 0
        await asyncio.to_thread(daemon.start)
        await eventually_awaited(lambda: all_worked_on(daemon.nats_url))
        assert not daemon.events("predecessor_died")
        with reading(daemon.database) as ask:
            assert ask("SELECT count(*) FROM session_usage") == [(50,)]
    finally:
        await asyncio.to_thread(daemon.end)
