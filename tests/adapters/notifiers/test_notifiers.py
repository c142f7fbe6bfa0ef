"""Notifiers before real HTTP servers that answer well, badly, slowly, and not at all."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from adapters.notifiers.base import AlertMessage, Refused, Sent, TryAgain
from adapters.notifiers.pagerduty import PagerDutyNotifier
from adapters.notifiers.poster import Poster
from adapters.notifiers.slack import SlackNotifier
from adapters.notifiers.webhook import WebhookNotifier
from contracts.values.alerts import NoticeAction, Severity
from tests.support.http_servers import answers, closes_early, drips, fake_server

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ok!").decode()
MESSAGE = AlertMessage(
    message_id="01a2-step",
    incident="hg.alert.cost_usd_per_day",
    rule="cost_usd_per_day",
    action=NoticeAction.TRIGGER,
    severity=Severity.CRITICAL,
    summary="CRITICAL cost_usd_per_day: 23.5 <of 10>",
    at="2026-11-20T10:15:30.123000Z",
    details={"value": 23.5},
    link="https://gate.example.org/console/#alert",
)


async def test_a_webhook_is_signed_as_the_specification_says_and_bears_the_same_id_at_every_try() -> None:
    async with fake_server(answers(500), answers(204)) as server:
        notifier = WebhookNotifier(server.url, [SECRET])
        assert isinstance(await notifier.send(MESSAGE), TryAgain)
        assert await notifier.send(MESSAGE) == Sent()
        await notifier.close()
    first, second = server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "01a2-step"
    sent = Webhook(SECRET).verify(second.body, second.headers)
    assert (sent["type"], sent["data"]["value"], sent["data"]["link"]) == ("alert.trigger", 23.5, MESSAGE.link)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(second.body + b" ", second.headers)


async def test_while_its_secret_is_changed_a_webhook_is_signed_with_both() -> None:
    older = "whsec_" + base64.b64encode(b"o" * 32).decode()
    async with fake_server(answers(204)) as server:
        notifier = WebhookNotifier(server.url, [SECRET, older])
        assert await notifier.send(MESSAGE) == Sent()
        await notifier.close()
    (request,) = server.requests
    for known_to_the_other_side in (SECRET, older):
        assert Webhook(known_to_the_other_side).verify(request.body, request.headers)


async def test_pagerduty_is_told_of_one_incident_by_three_actions() -> None:
    async with fake_server(answers(202, '{"status":"success"}')) as server:
        notifier = PagerDutyNotifier("routing-key", server.url)
        for action in NoticeAction:
            assert await notifier.send(replace(MESSAGE, action=action)) == Sent()
        await notifier.close()
    events = [request.json for request in server.requests]
    assert [event["event_action"] for event in events if isinstance(event, dict)] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert {event["dedup_key"] for event in events if isinstance(event, dict)} == {"hg.alert.cost_usd_per_day"}
    assert isinstance(events[0], dict)
    assert events[0]["payload"]["severity"] == "critical"


async def test_slack_gets_one_line_in_which_nothing_is_markup_but_the_link() -> None:
    async with fake_server(answers(200, "ok")) as server:
        notifier = SlackNotifier(server.url)
        assert await notifier.send(MESSAGE) == Sent()
        await notifier.close()
    (request,) = server.requests
    assert isinstance(request.json, dict)
    text = request.json["text"]
    assert "23.5 &lt;of 10&gt;" in text
    assert text.endswith(f"<{MESSAGE.link}|look>")


async def posted(*behaviours: object, whole_s: float = 5.0) -> object:
    async with fake_server(*behaviours) as server:  # type: ignore[arg-type]  # each is a behaviour
        poster = Poster(server.url, whole_s=whole_s)
        outcome = await poster.post(b"{}")
        await poster.close()
        return outcome


async def test_when_to_come_again_is_what_the_other_side_says_in_seconds_or_as_a_date() -> None:
    assert await posted(answers(429, "slow down", retry_after="17")) == TryAgain("status 429: slow down", 17.0)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    outcome = await posted(answers(503, retry_after=date))
    assert isinstance(outcome, TryAgain)
    assert outcome.after_s is not None
    assert 50 < outcome.after_s <= 60
    assert await posted(answers(500, retry_after="soon")) == TryAgain("status 500", None)


async def test_a_redirect_is_not_followed_and_what_is_refused_is_not_tried_again() -> None:
    async with fake_server(answers(200)) as elsewhere:
        outcome = await posted(answers(307, location=elsewhere.url))
        assert elsewhere.requests == []
    assert outcome == Refused("status 307: redirects are not followed")
    assert await posted(answers(404, "no_service")) == Refused("status 404: no_service")


async def test_whoever_is_slow_or_closes_early_is_tried_again_within_the_time() -> None:
    assert await posted(drips, whole_s=0.3) == TryAgain("no answer in time")
    assert isinstance(await posted(closes_early), TryAgain)
    async with fake_server(answers(200)) as gone:
        url = gone.url
    poster = Poster(url, whole_s=2.0)
    outcome = await poster.post(b"{}")
    await poster.close()
    assert isinstance(outcome, TryAgain)
    assert url not in outcome.reason
