"""Agents through a real daemon: what they are seen to do, what they are told, and what their answers close."""

import json
from typing import Any, Final

import pytest

from tests.end_to_end.conftest import SECRET, Pipeline, soon, until
from tests.support.waiting import PATIENCE_S

Json = dict[str, Any]

AGENT: Final = "planner-7"


@pytest.fixture
def settings() -> str:
    return f"""
[callbacks]
secrets = ["{SECRET}"]
"""


def said(type_: str, session_id: str = "s-1", **more: object) -> Json:
    return {"session_id": session_id, "agent": AGENT, "type": type_, "at": soon(), **more}


async def told(pipeline: Pipeline, **payload: object) -> Json:
    reply = await pipeline.command("control", {"agent": AGENT, **payload})
    assert reply["status"] == 202, reply
    return dict(reply["result"])


async def run_of(pipeline: Pipeline, run_id: str) -> Json:
    result = (await pipeline.command("runs", {"run_id": run_id}))["result"]
    return dict(result["items"][0])


async def ended(pipeline: Pipeline, run_id: str) -> Json:
    async def over() -> Json | None:
        run = await run_of(pipeline, run_id)
        return run if run["status"] != "running" else None

    return await until(over)


async def test_an_agent_is_told_and_its_answer_closes_the_run(pipeline: Pipeline) -> None:
    messages = await pipeline.nc.subscribe(f"hg.control.{AGENT}")
    answers = await pipeline.nc.subscribe("hg.event.agent.>")
    await pipeline.send("session.event", said("started", model="openai/gpt-5", text="hello"))
    status = (await pipeline.command("system-status", {}))["result"]
    assert [(each["agent"], each["state"], each["model"]) for each in status["agents"]] == [
        (AGENT, "running", "openai/gpt-5")
    ]
    assert [daemon["state"] for daemon in status["daemons"]] == ["running"]

    result = await told(pipeline, action="kill", session_id="s-1", reason="it repeats itself")
    control = json.loads((await messages.next_msg(timeout=PATIENCE_S)).data)
    assert control["kind"] == "control"
    assert control["payload"]["action"] == "kill"
    assert control["payload"]["control_id"] == result["control_id"]
    assert control["payload"]["expires_at"] == result["expires_at"]

    await pipeline.send("session.event", said("killed", data={"control_id": result["control_id"]}))
    run = await ended(pipeline, result["run_id"])
    assert (run["status"], run["result"]["type"]) == ("succeeded", "killed")
    answered = json.loads((await answers.next_msg(timeout=PATIENCE_S)).data)
    assert (answered["kind"], answered["payload"]["control_id"]) == ("agent.answered", result["control_id"])
    status = (await pipeline.command("system-status", {}))["result"]
    assert status["agents"][0]["state"] == "stopped"
    logs = (await pipeline.command("logs", {"session_id": "s-1"}))["result"]["items"]
    assert [(line["type"], line.get("text")) for line in logs] == [("killed", None), ("started", "hello")]


async def test_an_answer_that_is_forged_or_of_another_agent_closes_nothing(pipeline: Pipeline) -> None:
    result = await told(pipeline, action="spawn", model="openai/gpt-5", task="the next topic")
    control_id = result["control_id"]
    forged = {"agent": AGENT, "control_id": control_id, "session_id": "s-1", "message_id": "never", "type": "started"}
    body = json.dumps({"payload": {**forged, "at": soon()}}).encode()
    await pipeline.js.publish(f"hg.event.agent.{AGENT}.answered", body)
    other = said("started", "s-2", data={"control_id": control_id}) | {"agent": "somebody"}
    await pipeline.send("session.event", other)
    await pipeline.send("session.event", said("failed", data={"control_id": control_id}))
    run = await ended(pipeline, result["run_id"])
    assert (run["status"], run["error"]["code"], run["result"]["session_id"]) == ("failed", "UPSTREAM_FAILED", "s-1")


async def test_what_does_not_belong_to_an_action_is_refused(pipeline: Pipeline) -> None:
    reply = await pipeline.command("control", {"agent": AGENT, "action": "model", "task": "x"})
    assert reply["status"] == 400
    assert [(each["path"], each["code"]) for each in reply["error"]["details"]] == [
        ("payload.model", "missing"),
        ("payload.task", "not_for_this_action"),
    ]


async def test_a_message_that_nobody_answers_is_void_after_its_time_whichever_daemon_waits(pipeline: Pipeline) -> None:
    """The clock of the run is moved back instead of waiting for a minute."""
    result = await told(pipeline, action="kill")
    pipeline.daemon.kill9()
    pipeline.write("UPDATE ops_runs SET started_at = started_at - 120000000 WHERE run_id = ?", result["run_id"])
    # The lease of the killed daemon is over too.
    pipeline.write("UPDATE leases SET expires_at = 0")
    pipeline.daemon.start()
    await pipeline.becomes("failed", "SELECT status FROM ops_runs WHERE run_id = ?", result["run_id"])
    error = json.loads(pipeline.one("SELECT error FROM ops_runs WHERE run_id = ?", result["run_id"]))
    assert error["message"] == "the agent did not answer within 60 s: the message is void"
