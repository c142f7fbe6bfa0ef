"""``rebuild-aggregates`` in a daemon that takes messages in meanwhile, and ``health-check --deep``."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.daemon.operations.operating import Json, operating, right, until
from tests.support.command_line import headgate
from tests.support.daemons import DaemonProcess, running_daemon

pytestmark = pytest.mark.process

SPOIL = """
UPDATE daily_usage_agg SET requests = requests + 7;
UPDATE hourly_usage_agg SET input_tokens = 0;
DELETE FROM model_perf_agg;
UPDATE session_ledger SET requests = 0;
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path / "home") as ready:
        yield ready


def stored(daemon: DaemonProcess, question: str) -> Json:
    with closing(sqlite3.connect(daemon.database)) as database:
        return database.execute(question).fetchone()[0]


def deep(daemon: DaemonProcess) -> Json:
    done = headgate("ops", "health-check", "--deep", "--json", "--config", daemon.config)
    return done.json["dependencies"]["aggregates"]  # type: ignore[index]  # JSON whose shape the test knows


async def test_totals_are_mended_beside_intake_and_health_check_tells_both(daemon: DaemonProcess) -> None:
    now = datetime.now(UTC).isoformat()  # what is older than the retention is not compared
    async with operating(daemon) as operator:
        for number in range(60):
            await operator.publish(right(number, session_id=f"s-{number % 7}", at=now))
        await until(lambda: _stored(daemon, 60))
        healthy = await asyncio.to_thread(deep, daemon)
        with closing(sqlite3.connect(daemon.database, isolation_level=None)) as database:
            database.executescript(SPOIL)
        spoiled = await asyncio.to_thread(deep, daemon)

        started = await operator.ask("rebuild-aggregates")
        for number in range(60, 160):
            await operator.publish(right(number, session_id=f"s-{number % 7}", at=now))
        run = await operator.ended(started["result"]["run_id"])
        await until(lambda: _stored(daemon, 160))
        mended = await asyncio.to_thread(deep, daemon)

    assert healthy["status"] == "healthy", healthy
    assert (spoiled["status"], "rebuild-aggregates" in spoiled["detail"]) == ("degraded", True)
    assert started["status"] == 202
    assert (run["status"], run["result"]["sessions"]) == ("succeeded", 7)
    assert run["result"]["corrected"]["session_ledger"] == 7
    assert mended["status"] == "healthy", mended
    assert stored(daemon, "SELECT sum(requests) FROM daily_usage_agg") == 160


async def _stored(daemon: DaemonProcess, count: int) -> bool:
    return bool(stored(daemon, "SELECT count(*) FROM session_usage") == count)


async def test_without_deep_nothing_is_compared(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        assert "aggregates" not in (await operator.result("health-check"))["dependencies"]
