"""Notifiers of a real daemon before real HTTP servers: each hears of a step once, in order, however they answer."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats
import pytest
import pytest_asyncio
from standardwebhooks.webhooks import Webhook

from tests.end_to_end.alerts.test_alerts import RULE, becomes, usage
from tests.end_to_end.conftest import SECRET, Pipeline, until
from tests.support.commands import metric
from tests.support.daemons import DaemonProcess
from tests.support.http_servers import FakeServer, answers, closes_early, fake_server
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

Json = dict[str, Any]

SIGNING: Final = "whsec_" + base64.b64encode(b"another secret of 32 bytes, well").decode()


@dataclass
class Surroundings:
    pipeline: Pipeline
    webhook: FakeServer
    slack: FakeServer
    pager: FakeServer
    broken: FakeServer


@pytest_asyncio.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    async with AsyncExitStack() as stack:
        webhook = await stack.enter_async_context(
            fake_server(answers(500), answers(429, retry_after="1"), closes_early, answers(204))
        )
        slack = await stack.enter_async_context(fake_server(answers(200, "ok")))
        pager = await stack.enter_async_context(fake_server(answers(202)))
        broken = await stack.enter_async_context(fake_server(answers(302, location=slack.url)))
        settings = f"""
[nats]
port = {free_port()}
[callbacks]
secrets = ["{SECRET}"]
[console]
public_url = "https://gate.example.org/console/"
[alerts]
interval_s = 0.1
[alerts.rules.{RULE}]
warning = 1
critical = 10
resolve_after_s = 0.2
[notifiers.hook]
type = "webhook"
url = "{webhook.url}"
key = "{SIGNING}"
[notifiers.chat]
type = "slack"
url = "{slack.url}"
[notifiers.pager]
type = "pagerduty"
url = "{pager.url}"
key = "routing-key"
min_severity = "critical"
[notifiers.broken]
type = "webhook"
url = "{broken.url}"
"""
        daemon = DaemonProcess(tmp_path / "home", settings)
        stack.callback(daemon.end)
        await asyncio.to_thread(daemon.start)
        nc = await nats.connect(daemon.nats_url)
        stack.push_async_callback(nc.close)
        yield Surroundings(Pipeline(daemon, nc), webhook, slack, pager, broken)


async def spend(around: Surroundings, cost: str) -> None:
    await around.pipeline.send("session.usage", usage(cost), schema_version="2.0")


async def told(around: Surroundings, notifier: str, what: str, within_s: float = PATIENCE_S) -> Json:
    """What alert.get says of a notifier and a step, once that is over."""

    async def over() -> Json | None:
        for step in (await becomes(around.pipeline))["history"]:
            for each in step["notifications"]:
                if (step["what"], each["notifier"]) == (what, notifier) and each["state"] != "pending":
                    return dict(each)
        return None

    return await until(over, within_s)


async def test_every_notifier_hears_of_each_step_once_and_in_order(around: Surroundings) -> None:
    await spend(around, "3.50")
    assert (await told(around, "chat", "warning_raised"))["state"] == "sent"
    hooked = await told(around, "hook", "warning_raised")
    assert (hooked["state"], hooked["attempts"]) == ("sent", 4)
    ids = [request.headers["webhook-id"] for request in around.webhook.requests]
    assert len(ids) == 4
    assert len(set(ids)) == 1
    last = around.webhook.requests[-1]
    assert Webhook(SIGNING).verify(last.body, last.headers)["data"]["link"] == (
        f"https://gate.example.org/console/#/alert/{RULE}"
    )
    refused = await told(around, "broken", "warning_raised")
    assert (refused["state"], refused["failure"]) == ("given_up", "status 302: redirects are not followed")

    await spend(around, "20")
    await told(around, "pager", "critical_raised")
    await around.pipeline.command("alerts", {"action": "acknowledge", "rule": RULE, "reason": "on it"})
    await told(around, "pager", "acknowledged")
    await around.pipeline.command("alerts", {"action": "resolve", "rule": RULE})
    await told(around, "pager", "resolved")
    actions = [request.json for request in around.pager.requests]
    assert [event["event_action"] for event in actions if isinstance(event, dict)] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert {event["dedup_key"] for event in actions if isinstance(event, dict)} == {f"hg.alert.{RULE}"}
    await told(around, "chat", "resolved")
    assert len(around.slack.requests) == 4
    http_url = around.pipeline.daemon.http_url
    assert metric(http_url, "headgate_notifications_total", notifier="hook", outcome="retry") == 3.0
    assert metric(http_url, "headgate_notifications_total", notifier="broken", outcome="given_up") >= 1.0


async def test_what_was_told_is_not_told_again_by_a_daemon_that_was_killed(around: Surroundings) -> None:
    await spend(around, "20")
    await told(around, "pager", "critical_raised")
    await around.pipeline.kill_and_restart()
    await around.pipeline.command("alerts", {"action": "acknowledge", "rule": RULE})
    await told(around, "pager", "acknowledged")
    assert [event["event_action"] for event in (request.json for request in around.pager.requests)] == [  # type: ignore[index]  # JSON whose shape the test knows
        "trigger",
        "acknowledge",
    ]


async def test_a_forged_notification_tells_nobody_and_a_lost_consumer_comes_back(around: Surroundings) -> None:
    await around.pipeline.js.delete_consumer("HG_NOTIFY", "headgate-notify-chat")
    forged = {"transition_id": "x", "notifier": "chat", "rule": RULE, "action": "trigger", "severity": "critical"}
    await around.pipeline.js.publish("hg.notify.chat", str({"payload": forged}).replace("'", '"').encode())
    await spend(around, "3.50")
    assert (await told(around, "chat", "warning_raised"))["state"] == "sent"
    assert len(around.slack.requests) == 1


async def test_after_the_server_was_killed_notifiers_are_told_as_before(around: Surroundings) -> None:
    """An acknowledgement may be lost with the server: what comes after it waits until the message came again."""
    await spend(around, "3.50")
    await told(around, "chat", "warning_raised")
    around.pipeline.daemon.kill_nats_server()

    async def answers_again() -> bool:
        """What is asked while the connection is lost may be lost with it."""
        try:
            answer = await around.pipeline.command("alert.get", {"rule": RULE}, family="cmd", timeout_s=3.0)
        except nats.errors.Error:
            return False
        return bool(answer["status"] == 200)

    await until(answers_again)
    await spend(around, "20")
    assert (await told(around, "chat", "critical_raised"))["state"] == "sent"
    assert (await told(around, "pager", "critical_raised"))["state"] == "sent"
    assert len(around.slack.requests) == 2


async def test_a_test_message_says_how_it_went(around: Surroundings) -> None:
    sent = await around.pipeline.command("alerts", {"action": "test", "notifier": "chat"})
    assert (sent["status"], sent["result"]["outcome"]) == (200, "sent")
    (request,) = around.slack.requests
    assert b"TEST" in request.body
    failed = await around.pipeline.command("alerts", {"action": "test", "notifier": "broken"})
    assert (failed["status"], failed["error"]["code"]) == (502, "UPSTREAM_FAILED")
    unknown = await around.pipeline.command("alerts", {"action": "test", "notifier": "nobody"})
    assert unknown["status"] == 404
