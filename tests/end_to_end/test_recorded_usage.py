"""A recorded trace taken in by a running daemon: sums by hour equal those of another program over the file."""

import json
import subprocess
from collections.abc import Iterator

import orjson
import pytest

from tests.support.command_line import headgate
from tests.support.commands import metric
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.records.recorded_trace import TRACE, payloads

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not TRACE.exists(), reason="the recorded trace is not here"),
]

# Hour, requests, tokens in, tokens out of what lies between two instants; times of one form sort as their texts do.
SUMS = """
NR > 1 && $1 >= since && $1 < until {
    hour = substr($1, 1, 10) "T" substr($1, 12, 2); requests[hour]++; input[hour] += $2; output[hour] += $3
}
END { for (hour in requests) print hour, requests[hour], input[hour], output[hour] }
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("trace")
    file = folder / "conversations.jsonl"
    file.write_bytes(b"".join(orjson.dumps(payload) + b"\n" for payload in payloads()))
    with running_daemon(folder / "home") as running:
        arguments = ("--wrap", "session.usage", "--message-id-by-line", file, "--config", running.config)
        done = headgate("publish", *arguments)
        assert done.code == 0, done.err
        yield running


def sums_of_the_file(since: str, until: str) -> dict[str, tuple[int, int, int]]:
    """What awk comes to."""
    unpacked = subprocess.run(["gzip", "-dc", TRACE], capture_output=True, check=True).stdout
    variables = ("-v", f"since={since}", "-v", f"until={until}")
    done = subprocess.run(["awk", "-F,", *variables, SUMS], input=unpacked, capture_output=True, check=True)
    found = (line.split() for line in done.stdout.decode().splitlines())
    return {hour: (int(requests), int(given), int(made)) for hour, requests, given, made in found}


def sums_of_the_daemon(daemon: DaemonProcess, since: str, until: str) -> dict[str, tuple[int, int, int]]:
    asked = {"from": f"{since.replace(' ', 'T')}Z", "to": f"{until.replace(' ', 'T')}Z", "group_by": "hour"}
    done = headgate("ask", "hg.cmd.analytics.usage", json.dumps(asked), "--json", "--config", daemon.config)
    assert done.code == 0, done.err
    items = done.json["items"]
    assert isinstance(items, list)
    return {item["key"]: (item["requests"], item["input_tokens"], item["output_tokens"]) for item in items}


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2023-11-16 00:00:00.000000", "2023-11-17 00:00:00.000000"),
        ("2023-11-16 18:20:00.500000", "2023-11-16 19:05:33.250000"),
        ("2023-11-16 18:59:59.999999", "2023-11-16 19:00:00.000000"),
        ("2023-11-16 18:31:07.000000", "2023-11-16 18:32:00.000000"),
    ],
)
def test_sums_by_hour_equal_those_that_awk_comes_to(daemon: DaemonProcess, since: str, until: str) -> None:
    assert sums_of_the_daemon(daemon, since, until) == sums_of_the_file(since, until)


def test_the_first_window_is_the_whole_trace() -> None:
    sums = sums_of_the_file("2023-11-16 00:00:00.000000", "2023-11-17 00:00:00.000000")

    assert sum(requests for requests, _, _ in sums.values()) == 19_366


def test_the_costs_are_derived_and_told_as_such(daemon: DaemonProcess) -> None:
    asked = {"from": "2023-11-16T00:00:00Z", "to": "2023-11-17T00:00:00Z", "group_by": "model"}
    done = headgate("ask", "hg.cmd.analytics.usage", json.dumps(asked), "--json", "--config", daemon.config)

    totals = done.json["totals"]
    assert isinstance(totals, dict)
    assert totals["cost"] == {"reported": "0.000000", "derived": totals["cost_usd"], "missing_count": 0}


def test_what_was_spent_is_a_metric_by_source(daemon: DaemonProcess) -> None:
    asked = {"from": "2023-11-16T00:00:00Z", "to": "2023-11-17T00:00:00Z", "group_by": "model"}
    done = headgate("ask", "hg.cmd.analytics.usage", json.dumps(asked), "--json", "--config", daemon.config)
    totals = done.json["totals"]
    assert isinstance(totals, dict)

    spent = metric(daemon.http_url, "headgate_cost_usd_total", source="derived")

    assert spent == pytest.approx(float(totals["cost_usd"]))
    assert metric(daemon.http_url, "headgate_cost_usd_total", source="provider_reported") == 0
