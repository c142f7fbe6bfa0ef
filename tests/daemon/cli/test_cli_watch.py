"""``headgate watch``: figures of a running daemon, and what is made of its metrics."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.cli.watch.watch_figures import Figures, Metrics, figures
from daemon.cli.watch.watch_view import sparkline
from tests.support.command_line import headgate, started
from tests.support.commands import metric
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.records.usage_records import envelope, lines
from tests.support.waiting import PATIENCE_S

AT = "2026-11-20T10:15:30.000000Z"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that has accepted two records and refused one."""
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        records = lines(envelope("watched:0"), envelope("watched:1"), envelope("watched:2", nonsense=1))
        headgate("publish", "--config", running.config, stdin=records)
        # The dead letter was told of, and the gauge, which is read once a second, has not seen it wait since.
        eventually(lambda: waiting(running) == 0)
        eventually(lambda: metric(running.http_url, "headgate_outbox_rows") == 0)
        yield running


def waiting(daemon: DaemonProcess) -> int:
    with closing(sqlite3.connect(daemon.database)) as database:
        return int(database.execute("SELECT count(*) FROM outbox").fetchone()[0])


# -- the command


@pytest.mark.process
def test_once_shows_throughput_refusals_and_dependencies(daemon: DaemonProcess) -> None:
    done = headgate("watch", "--once", "--interval", "0.2", "--config", daemon.config)
    assert done.code == 0, done.err
    assert f"● ready  {daemon.http_url}" in done.out
    assert "messages/s" in done.out
    rows = [line.split() for line in done.out.splitlines()]
    assert ["session.usage", "accepted", "0", "2"] in [row[:4] for row in rows]
    assert ["session.usage", "refused", "0", "1"] in [row[:4] for row in rows]
    assert any("VALIDATION_ERROR" in row for row in rows)
    assert ["nats", "healthy"] in [row[:2] for row in rows]


@pytest.mark.process
def test_once_in_json_is_one_object_on_one_line(daemon: DaemonProcess) -> None:
    done = headgate("watch", "--once", "--interval", "0.2", "--json", "--config", daemon.config)
    assert done.code == 0, done.err
    (line,) = done.out.splitlines()
    told = json.loads(line)
    assert told["ready"] is True
    assert {"kind": "session.usage", "outcome": "accepted", "total": 2, "per_second": 0.0} in told["messages"]
    assert told["refusals"] == [{"code": "VALIDATION_ERROR", "total": 1, "per_second": 0.0}]
    assert told["outbox"]["rows"] == 0
    assert told["dependencies"]["database"]["status"] == "healthy"


@pytest.mark.process
def test_a_daemon_that_goes_away_is_waited_for_and_found_again(tmp_path: Path) -> None:
    with (
        running_daemon(tmp_path / "home") as daemon,
        started("watch", "--json", "--interval", "0.2", "--config", daemon.config) as watching,
    ):
        assert watching.stdout is not None
        told = (json.loads(line) for line in watching.stdout)
        assert next(told)["ready"] is True
        daemon.kill9()
        assert next(line for line in told if "no daemon is running" in line.get("error", ""))["ready"] is False
        daemon.start()
        assert next(line for line in told if line["ready"])["messages"] == []
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=PATIENCE_S)
        assert (watching.returncode, err) == (0, ""), out


@pytest.mark.process
def test_a_reader_that_has_seen_enough_is_no_failure(daemon: DaemonProcess) -> None:
    with started("watch", "--json", "--interval", "0.1", "--config", daemon.config) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["ready"] is True
        watching.stdout.close()
        assert watching.wait(PATIENCE_S) == 0
        assert watching.stderr is not None
        assert watching.stderr.read() == ""


@pytest.mark.process
def test_without_a_daemon_it_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    done = headgate("watch", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"no daemon is running on {tmp_path}/var (start one: headgate serve)\n"


# -- what is made of metrics


def reading(text: str, taken: float) -> Metrics:
    return Metrics(text, taken)


def seen(now: Metrics, before: Metrics | None = None) -> Figures:
    return figures(now, before, {"status": "ready", "phase": "running"}, AT)


def messages(accepted: int) -> str:
    return f'headgate_messages_total{{kind="k",outcome="accepted"}} {accepted}\n'


def test_rates_are_what_came_in_since_the_reading_before() -> None:
    found = seen(reading(messages(300), 12.0), reading(messages(100), 10.0))
    (rate,) = found.messages
    assert (rate.labels, rate.total, rate.per_second) == (("k", "accepted"), 300, 100.0)
    assert found.per_second == 100.0


def test_the_first_reading_knows_no_rates() -> None:
    found = seen(reading(messages(300), 12.0))
    assert found.per_second is None
    assert found.messages[0].per_second is None


def test_a_counter_that_has_begun_anew_is_no_negative_rate() -> None:
    assert seen(reading(messages(1), 12.0), reading(messages(100), 10.0)).per_second == 0.0


def test_refusals_are_summed_up_by_code_the_most_frequent_first() -> None:
    text = "".join(
        f'headgate_messages_refused_total{{code="{code}",producer="{producer}"}} {count}\n'
        for code, producer, count in (("A", "x", 1), ("B", "x", 2), ("B", "y", 3))
    )
    assert [(rate.labels, rate.total) for rate in seen(reading(text, 0.0)).refusals] == [(("B",), 5), (("A",), 1)]


def lag(*cumulative: int) -> str:
    bounds = ("0.1", "1.0", "+Inf")
    return "".join(
        f'headgate_message_lag_seconds_bucket{{le="{bound}"}} {count}\n'
        for bound, count in zip(bounds, cumulative, strict=True)
    )


def test_lag_is_of_the_interval_not_of_all_time() -> None:
    before, now = reading(lag(1_000, 1_000, 1_000), 0.0), reading(lag(1_000, 1_100, 1_100), 1.0)
    found = seen(now, before)
    assert found.lag_p50_ms == pytest.approx(550.0)
    assert found.lag_p99_ms == pytest.approx(991.0)


def test_lag_beyond_the_last_bound_counts_as_that_bound() -> None:
    assert seen(reading(lag(0, 0, 5), 0.0)).lag_p99_ms == 1_000.0


def test_an_interval_without_messages_has_no_lag() -> None:
    before = reading(lag(5, 5, 5), 0.0)
    assert seen(reading(lag(5, 5, 5), 1.0), before).lag_p50_ms is None


def test_what_a_daemon_does_not_tell_is_empty_not_zero() -> None:
    found = seen(reading("", 0.0))
    assert (found.outbox_rows, found.dead_letters_open, found.consumers) == (None, None, {})


def test_the_highest_reading_is_a_full_bar() -> None:
    assert sparkline([0.0, 50.0, 100.0]) == "▁▅█"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([]) == ""
