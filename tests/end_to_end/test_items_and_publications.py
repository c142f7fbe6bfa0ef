"""Items and publications through a real daemon: taken in, handed out, reported on by signed callbacks."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.end_to_end.conftest import Pipeline, soon, until

Json = dict[str, Any]


def item(item_id: str = "item-1", **changed: object) -> Json:
    return {
        "item_id": item_id,
        "source": "news",
        "title": "A title",
        "url": "https://example.org/1",
        "published_at": "2026-11-20T10:00:00Z",
        **changed,
    }


def analysis(event_id: str = "event-1", **changed: object) -> Json:
    return {"event_id": event_id, "sentiment": {"label": "positive", "score": 0.75}, **changed}


def schedule(post_id: str = "post-1", **changed: object) -> Json:
    return {
        "post_id": post_id,
        "platform": "video-site",
        "publish_at": soon(seconds=1),
        "caption": "Look",
        "hashtags": ["one", "two"],
        **changed,
    }


async def test_an_item_is_handed_out_once_and_analysed_by_a_signed_result(pipeline: Pipeline) -> None:
    assert (await pipeline.send("feed.item", item(text="All of it")))["status"] == 201
    message, work = await pipeline.take_work("item.analyse")
    await message.ack()
    assert {key: work[key] for key in ("item_id", "attempt", "title", "text", "callback_subject")} == {
        "item_id": "item-1",
        "attempt": 1,
        "title": "A title",
        "text": "All of it",
        "callback_subject": "hg.callback.item.item-1",
    }
    assert datetime.fromisoformat(work["deadline"]) > datetime.fromisoformat(soon(minutes=50))

    first = await pipeline.report("item", "item-1", "item.result", analysis())
    again = await pipeline.report("item", "item-1", "item.result", analysis())
    other = await pipeline.report("item", "item-1", "item.result", analysis("event-2"))

    assert (first["status"], again["status"], other["error"]["code"]) == (204, 200, "INVALID_TRANSITION")
    assert pipeline.rows("SELECT status, sentiment_label, sentiment_score FROM feed_items") == [
        ("analysed", "positive", 0.75)
    ]
    assert pipeline.rows("SELECT state, attempt FROM work") == [("done", 1)]
    assert await pipeline.waiting_work() == 0


async def test_the_newer_message_about_an_item_wins_and_an_analysed_one_is_not_handed_out_again(
    pipeline: Pipeline,
) -> None:
    await pipeline.send("feed.item", item(title="newer"), created_at="2026-11-20T12:00:00Z")
    await pipeline.send("feed.item", item(title="older"), created_at="2026-11-20T11:00:00Z")
    assert pipeline.one("SELECT title FROM feed_items") == "newer"
    await pipeline.report("item", "item-1", "item.result", analysis())

    await pipeline.send("feed.item", item(title="newest"), created_at="2026-11-20T13:00:00Z")

    assert pipeline.rows("SELECT title, status FROM feed_items") == [("newest", "analysed")]
    assert pipeline.one("SELECT count(*) FROM work") == 1


async def test_a_callback_is_refused_unsigned_on_another_subject_and_for_an_unknown_id(pipeline: Pipeline) -> None:
    await pipeline.send("feed.item", item())

    unsigned = await pipeline.report("item", "item-1", "item.result", analysis(), **{"x-none": "1"})
    elsewhere = await pipeline.report("item", "item-1", "item.result", analysis(item_id="item-2"))
    unknown = await pipeline.report("item", "item-9", "item.result", analysis())

    assert unsigned["error"]["code"] == "CALLBACK_SIGNATURE_INVALID"
    assert elsewhere["error"]["details"][0]["path"] == "payload.item_id"
    assert unknown["error"]["code"] == "RESOURCE_NOT_FOUND"
    assert pipeline.one("SELECT status FROM feed_items") == "pending"
    assert pipeline.one("SELECT count(*) FROM dead_letters") == 3


async def test_an_event_that_is_known_for_one_item_is_a_mismatch_on_another(pipeline: Pipeline) -> None:
    for item_id in ("item-1", "item-2"):
        await pipeline.send("feed.item", item(item_id))
    await pipeline.report("item", "item-1", "item.result", analysis("event-1"))

    copied = await pipeline.report("item", "item-2", "item.result", analysis("event-1"))

    assert copied["error"]["code"] == "EVENT_ID_PAYLOAD_MISMATCH"


async def test_a_publication_goes_out_at_its_moment_and_its_result_ends_it(pipeline: Pipeline) -> None:
    publish_at = soon(seconds=1.5)
    assert (await pipeline.send("content.schedule", schedule(publish_at=publish_at)))["status"] == 201
    message, work = await pipeline.take_work("publish")
    await message.ack()

    late = message.metadata.timestamp - datetime.fromisoformat(publish_at)
    assert timedelta() <= late < timedelta(seconds=1)
    assert (work["post_id"], work["hashtags"], work["attempt"]) == ("post-1", ["one", "two"], 1)
    result = await pipeline.report(
        "publish", "post-1", "publish.result", {"event_id": "e", "outcome": "published", "external_id": "x-1"}
    )
    assert result["status"] == 204
    assert pipeline.rows("SELECT status, external_id FROM publications") == [("published", "x-1")]
    refused = await pipeline.send("content.schedule", schedule())
    assert refused["error"]["code"] == "INVALID_STATE"


async def test_a_schedule_changes_until_it_went_out(pipeline: Pipeline) -> None:
    await pipeline.send("content.schedule", schedule(publish_at=soon(hours=1)))
    await pipeline.send("content.schedule", schedule(publish_at=soon(seconds=0.5), caption="Now"))

    message, work = await pipeline.take_work("publish")

    await message.ack()
    assert work["caption"] == "Now"
    assert pipeline.one("SELECT status FROM publications") == "dispatched"


async def test_a_retryable_failure_is_tried_again_later_and_a_final_one_is_not(pipeline: Pipeline) -> None:
    await pipeline.send("content.schedule", schedule(publish_at=soon()))
    message, _ = await pipeline.take_work("publish")
    await message.ack()
    busy = {"code": "BUSY", "message": "later", "retryable": True}
    await pipeline.report(
        "publish", "post-1", "publish.result", {"event_id": "e1", "outcome": "failed", "failure": busy}
    )
    assert pipeline.one("SELECT status FROM publications") == "scheduled"
    assert pipeline.one("SELECT due_at > publish_at FROM publications") == 1

    message, work = await pipeline.take_work("publish", timeout=15)
    await message.ack()
    assert work["attempt"] == 2
    gone = {"code": "GONE", "message": "never", "retryable": False}
    await pipeline.report(
        "publish", "post-1", "publish.result", {"event_id": "e2", "outcome": "failed", "failure": gone}
    )
    assert pipeline.one("SELECT status FROM publications") == "failed"
    assert json.loads(pipeline.one("SELECT failure FROM publications"))["code"] == "GONE"


@pytest.mark.parametrize(
    ("failure", "waiting"),
    [(None, 0), ({"code": "BUSY", "message": "later", "retryable": True}, 1)],
    ids=["published", "to be tried again"],
)
async def test_a_worker_that_dies_between_report_and_acknowledgement_leaves_no_post_to_go_out_twice(
    pipeline: Pipeline, failure: Json | None, waiting: int
) -> None:
    await pipeline.send("content.schedule", schedule(publish_at=soon()))
    await pipeline.take_work("publish")
    outcome = {"outcome": "published"} if failure is None else {"outcome": "failed", "failure": failure}
    await pipeline.report("publish", "post-1", "publish.result", {"event_id": "e1", **outcome})
    await pipeline.becomes(1 + waiting, "SELECT attempt FROM publications")

    async def the_reported_one_is_gone() -> bool:
        return await pipeline.waiting_work() == waiting

    await until(the_reported_one_is_gone)
    if waiting:
        message, work = await pipeline.take_work("publish")
        assert work["attempt"] == 2
        await message.ack()


async def test_what_is_due_while_the_daemon_is_dead_goes_out_when_it_is_back(pipeline: Pipeline) -> None:
    await pipeline.send("content.schedule", schedule(publish_at=soon(seconds=0.8)))
    await pipeline.kill_and_restart()

    await pipeline.becomes("dispatched", "SELECT status FROM publications")

    async def one_waits() -> bool:
        return await pipeline.waiting_work() == 1

    await until(one_waits)
