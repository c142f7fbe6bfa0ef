"""What the command line shows of alerts and agents: within 80 columns, nothing cut away."""

import io

import pytest
from rich.console import Console

from contracts.errors import JsonObject
from daemon.cli.output.answers import render

STEP: JsonObject = {
    "at": "2026-11-29T00:57:54.123456Z",
    "what": "suppression_ended",
    "severity": "critical",
    "value": 1_234_567.8,
    "actor": "ana",
    "reason": "a load test",
    "notifications": [
        {"notifier": "ops", "action": "trigger", "state": "pending", "attempts": 4, "failure": "status 500"}
    ],
}
ALERT: JsonObject = {
    "rule": "cost_usd_per_day",
    "severity": "critical",
    "lifecycle": "suppressed",
    "value": 1_234_567.8,
    "since": "2026-11-29T00:57:54.123456Z",
    "thresholds": {"warning": 600_000.0, "critical": 1_200_000.0},
    "suppressed_until": "2030-01-01T00:00:00.000000Z",
    "suppressed_by": "ana",
    "suppression_reason": "a load test",
}
AGENT: JsonObject = {
    "agent": "planner-7",
    "state": "running",
    "model": "openai/gpt-5-mini",
    "session_id": "s-0199aa",
    "last_heartbeat_at": "2026-11-29T00:57:54.123456Z",
}


def shown(command: str, result: JsonObject) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=80, markup=False, emoji=False, highlight=False)
    for piece in render(command, result):
        console.print(piece)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("command", ["alerts", "alert.list"])
def test_alerts_are_a_table(command: str) -> None:
    lines = shown(command, {"items": [ALERT, {**ALERT, "rule": "dead_letters_open", "severity": "ok"}]})
    assert len(lines) == 4
    assert lines[2].split() == [
        *("cost_usd_per_day", "critical", "suppressed", "1.23M", "600k", "/", "1.2M", "11-29", "00:57")
    ]


def test_an_alert_shows_why_it_is_quiet_and_its_history_with_what_was_told() -> None:
    lines = shown("alert.get", {**ALERT, "history": [STEP]})
    assert "quiet until 2030-01-01 00:00:00, says ana: a load test" in lines
    assert "2026-11-29 00:57:54  suppression_ended critical at 1.23M  by ana: a load test" in lines
    assert lines[-1].strip() == "ops trigger pending, tries: 4: status 500"


def test_agents_are_a_table_and_what_they_said_is_a_timeline() -> None:
    status = shown(
        "system-status",
        {
            "agents": [AGENT],
            "daemons": [{"daemon": "d-1", "state": "running"}],
            "self_heal": {
                "started_at": AGENT["last_heartbeat_at"],
                "items_found": 2,
                "items_republished": 1,
                "errors": 0,
            },
        },
    )
    assert status[2].split() == ["planner-7", "running", "openai/gpt-5-mini", "s-0199aa", "11-29", "00:57:54"]
    assert status[-1] == "healing 2026-11-29 00:57:54: found 2, out again 1, errors 0"
    said = {"type": "tool_call", "at": AGENT["last_heartbeat_at"], "agent": "planner-7", "session_id": "s-1"}
    assert shown("logs", {"items": [{**said, "text": "hello", "data": {"n": 1}}]}) == [
        '2026-11-29 00:57:54  tool_call  hello {"n": 1}'
    ]


def test_a_cursor_stands_on_one_line_to_be_copied() -> None:
    written = io.StringIO()
    cursor = "WyJs" * 40
    for part in render("alerts", {"items": [], "next_cursor": cursor}):
        Console(file=written, width=80).print(part, crop=False)

    assert cursor in written.getvalue()
