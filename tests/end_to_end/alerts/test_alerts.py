"""Alerts through real daemons: raised from what passed through, told once, kept quiet and ended by operators."""

import json
import time
import uuid
from typing import Any, Final

import pytest

from tests.end_to_end.conftest import SECRET, Pipeline, soon, until
from tests.support.commands import metric
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kills

Json = dict[str, Any]

RULE: Final = "cost_usd_per_day"


@pytest.fixture
def settings() -> str:
    return f"""
[callbacks]
secrets = ["{SECRET}"]
[alerts]
interval_s = 0.1
[alerts.rules.{RULE}]
warning = 1
critical = 10
resolve_after_s = 0.2
"""


def usage(cost: str) -> Json:
    figure = {"source": "provider_reported", "confidence": "high"}
    return {
        "session_id": f"s-{uuid.uuid4()}",
        "agent": "planner",
        "model": "openai/gpt-5",
        "at": soon(),
        "status": "ok",
        "input_tokens": 1,
        "output_tokens": 1,
        "runtime_ms": 1,
        "cost_usd": cost,
        "pricing_version": "mine",
        "provenance": {"tokens": figure, "runtime": figure, "cost": figure},
    }


async def alert(pipeline: Pipeline) -> Json:
    reply = await pipeline.command("alert.get", {"rule": RULE}, family="cmd")
    assert reply["status"] == 200
    return dict(reply["result"])


async def becomes(pipeline: Pipeline, **wanted: object) -> Json:
    async def has_become() -> Json | None:
        found = await alert(pipeline)
        return found if all(found[name] == value for name, value in wanted.items()) else None

    return await until(has_become)


async def test_what_is_spent_raises_an_alert_that_operators_keep_quiet_and_end(pipeline: Pipeline) -> None:
    events = await pipeline.nc.subscribe("hg.event.alert.>")
    await pipeline.send("session.usage", usage("3.50"), schema_version="2.0")
    raised = await becomes(pipeline, severity="warning")
    assert (raised["lifecycle"], raised["value"]) == ("active", 3.5)
    event = json.loads((await events.next_msg(timeout=PATIENCE_S)).data)
    assert (event["kind"], event["payload"]["what"]) == ("alert.warning", "warning_raised")

    taken = await pipeline.command("alerts", {"action": "acknowledge", "rule": RULE})
    assert (taken["status"], taken["result"]["alert"]["acknowledged_by"]) == (200, "local")
    past = await pipeline.command(
        "alerts", {"action": "suppress", "rule": RULE, "reason": "r", "until": soon(hours=-1)}
    )
    assert past["error"]["details"][0]["path"] == "payload.until"
    without = await pipeline.command("alerts", {"action": "suppress", "rule": RULE})
    assert [detail["path"] for detail in without["error"]["details"]] == ["payload.reason", "payload.until"]
    quiet = {"action": "suppress", "rule": RULE, "reason": "a load test", "until": soon(hours=1)}
    assert (await pipeline.command("alerts", quiet))["result"]["alert"]["lifecycle"] == "suppressed"
    await pipeline.send("session.usage", usage("20"), schema_version="2.0")
    await becomes(pipeline, severity="critical", lifecycle="suppressed")
    pipeline.write("UPDATE alert_state SET suppressed_until = ? WHERE rule = ?", time.time_ns() // 1_000, RULE)
    await becomes(pipeline, severity="critical", lifecycle="active")
    assert metric(pipeline.daemon.http_url, "headgate_alert_severity", rule=RULE) == 2.0
    assert metric(pipeline.daemon.http_url, "headgate_alert_value", rule=RULE) == 23.5

    ended = await pipeline.command("alerts", {"action": "resolve", "rule": RULE, "reason": "known"})
    assert ended["result"]["alert"]["lifecycle"] == "resolved"
    history = (await becomes(pipeline, severity="critical"))["history"]
    assert [step["what"] for step in history] == [
        "critical_raised",
        "resolved",
        "suppression_ended",
        "critical_raised",
        "suppressed",
        "acknowledged",
        "warning_raised",
    ]
    assert [step["actor"] for step in history if "actor" in step] == ["local", "local", "local"]
    story = (await pipeline.command("explain", {"id": RULE}))["result"]["items"]
    assert [fact["details"]["change"] for fact in story] == [step["what"] for step in reversed(history)]
    (quiet_fact,) = [fact for fact in story if fact["details"]["change"] == "suppressed"]
    assert (quiet_fact["by"], quiet_fact["details"]["reason"]) == ("local", "a load test")
    assert quiet_fact["details"]["until_at"] == next(step["until"] for step in history if "until" in step)
    assert (await pipeline.command("alerts", {"action": "acknowledge", "rule": "stuck_jobs"}))["status"] == 409
    assert (await pipeline.command("alerts", {"action": "resolve", "rule": "nothing"}))["status"] == 404


async def test_a_killed_daemon_takes_no_step_twice_and_a_changed_rule_is_told(pipeline: Pipeline) -> None:
    await pipeline.send("session.usage", usage("3.50"), schema_version="2.0")
    await becomes(pipeline, severity="warning")
    text = pipeline.daemon.config.read_text()
    pipeline.daemon.config.write_text(text.replace("warning = 1\n", "warning = 2\n"))
    await pipeline.kill_and_restart()
    await pipeline.send("session.usage", usage("20"), schema_version="2.0")
    history = (await becomes(pipeline, severity="critical"))["history"]
    assert [step["what"] for step in history] == ["critical_raised", "rule_changed", "warning_raised"]
    steps = [(step["version"], step["transition_id"]) for step in reversed(history)]
    assert [version for version, _ in steps] == [1, 2, 3]

    async def all_told() -> bool:
        info = await pipeline.js.stream_info("HG_EVENT", subjects_filter=f"hg.event.alert.{RULE}.>")
        return (info.state.subjects or {}) == {
            f"hg.event.alert.{RULE}.warning": 2,
            f"hg.event.alert.{RULE}.critical": 1,
        }

    await until(all_told)
