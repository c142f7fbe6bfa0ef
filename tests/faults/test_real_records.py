"""Real records, published as a user publishes them, while the daemon is killed again and again."""

import time
from functools import partial
from pathlib import Path

import orjson
import pytest

from tests.faults.load import chance, fixed_server, reading
from tests.support.command_line import headgate, started
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.records.recorded_trace import TRACE, payloads
from tests.support.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(not TRACE.exists(), reason="the recorded trace is not here"),
]

ROWS = 19_366
OPTIONS = ("--wrap", "session.usage", "--message-id-by-line", "--json")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "conversations.jsonl"
    made.write_bytes(b"".join(orjson.dumps(payload) + b"\n" for payload in payloads()))
    return made


@pytest.fixture
def totals(file: Path) -> tuple[int, int, int]:
    """Records, input tokens, output tokens."""
    records = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert len(records) == ROWS
    return (
        ROWS,
        sum(record["input_tokens"] for record in records),
        sum(record["output_tokens"] for record in records),
    )


def expect_totals(daemon: DaemonProcess, totals: tuple[int, int, int]) -> None:
    with reading(daemon.database) as ask:
        assert ask("SELECT count(*), sum(input_tokens), sum(output_tokens) FROM session_usage") == [totals]
        for table in ("session_ledger", "daily_usage_agg"):
            assert ask(f"SELECT sum(requests), sum(input_tokens), sum(output_tokens) FROM {table}") == [totals]
        derived = "SELECT sum(cost_usd_micros) FROM session_usage WHERE cost_source = 'derived'"
        assert ask(derived) == ask("SELECT sum(cost_usd_micros) FROM session_ledger")
        assert ask("SELECT count(*) FROM dead_letters") == [(0,)]


def test_every_record_is_stored_once_by_a_daemon_that_is_killed_on_the_way_and_the_same_file_again_changes_nothing(
    tmp_path: Path, file: Path, totals: tuple[int, int, int]
) -> None:
    dice = chance()
    with running_daemon(tmp_path, fixed_server()) as daemon:
        with started("publish", file, *OPTIONS, "--config", daemon.config) as publishing:
            for stored in (1, 6_000, 12_000):
                eventually(partial(has_stored, daemon, stored))
                time.sleep(dice.uniform(0.0, 0.05))
                daemon.kill9()
                daemon.start()
            out, err = publishing.communicate(timeout=PATIENCE_S)
        answer = orjson.loads(out)
        assert publishing.returncode == 0, err
        assert answer["accepted"] + answer["duplicate"] == ROWS
        eventually(lambda: count(daemon) == ROWS)
        expect_totals(daemon, totals)

        again = headgate("publish", file, *OPTIONS, "--config", daemon.config)
        assert (again.code, again.json["duplicate"]) == (0, ROWS), again.err
        expect_totals(daemon, totals)


def has_stored(daemon: DaemonProcess, enough: int) -> bool:
    return count(daemon) >= enough


def count(daemon: DaemonProcess) -> int:
    with reading(daemon.database) as ask:
        return int(ask("SELECT count(*) FROM session_usage")[0][0])
