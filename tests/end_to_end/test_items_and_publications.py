"""Items and publications through a real daemon: taken in, handed out, reported on by signed callbacks.

One daemon serves all tests; each has ids of its own, and begins with an empty queue of work.
"""

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.conftest import SETTINGS, Pipeline, soon, until
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.ports import free_port

Json = dict[str, Any]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """On a port that stays the same when it is killed and started again."""
    settings = f"{SETTINGS}\n[nats]\nport = {free_port()}\n"
    with running_daemon(tmp_path_factory.mktemp("items"), settings) as running:
        yield running


@pytest.fixture
def mine() -> str:
    """The id of the test's item and post, and what its other ids begin with."""
    return f"mine-{next(_numbers)}"


@pytest_asyncio.fixture(autouse=True)
async def empty_queue(pipeline: Pipeline) -> AsyncIterator[None]:
    await pipeline.js.purge_stream("HG_WORK")
    yield


def item(item_id: str, **changed: object) -> Json:
    return {
        "item_id": item_id,
        "source": "news",
        "title": "A title",
        "url": "https://example.org/1",
        "published_at": "2026-11-20T10:00:00Z",
        **changed,
    }


def analysis(event_id: str, **changed: object) -> Json:
    return {"event_id": event_id, "sentiment": {"label": "positive", "score": 0.75}, **changed}


def schedule(post_id: str, **changed: object) -> Json:
    return {
        "post_id": post_id,
        "platform": "video-site",
        "publish_at": soon(seconds=1),
        "caption": "Look",
        "hashtags": ["one", "two"],
        **changed,
    }


async def test_an_item_is_handed_out_once_and_analysed_by_a_signed_result(pipeline: Pipeline, mine: str) -> None:
    assert (await pipeline.send("feed.item", item(mine, text="All of it")))["status"] == 201
    message, work = await pipeline.take_work("item.analyse")
    await message.ack()
    assert {key: work[key] for key in ("item_id", "attempt", "title", "text", "callback_subject")} == {
        "item_id": mine,
        "attempt": 1,
        "title": "A title",
        "text": "All of it",
        "callback_subject": f"hg.callback.item.{mine}",
    }
    assert datetime.fromisoformat(work["deadline"]) > datetime.fromisoformat(soon(minutes=50))

    first = await pipeline.report("item", mine, "item.result", analysis(f"{mine}:1"))
    again = await pipeline.report("item", mine, "item.result", analysis(f"{mine}:1"))
    other = await pipeline.report("item", mine, "item.result", analysis(f"{mine}:2"))

    assert (first["status"], again["status"], other["error"]["code"]) == (204, 200, "INVALID_TRANSITION")
    assert pipeline.rows("SELECT status, sentiment_label, sentiment_score FROM feed_items WHERE item_id = ?", mine) == [
        ("analysed", "positive", 0.75)
    ]
    assert pipeline.rows("SELECT state, attempt FROM work WHERE subject_id = ?", mine) == [("done", 1)]
    assert await pipeline.waiting_work() == 0


async def test_the_newer_message_about_an_item_wins_and_an_analysed_one_is_not_handed_out_again(
    pipeline: Pipeline, mine: str
) -> None:
    await pipeline.send("feed.item", item(mine, title="newer"), created_at="2026-11-20T12:00:00Z")
    await pipeline.send("feed.item", item(mine, title="older"), created_at="2026-11-20T11:00:00Z")
    assert pipeline.one("SELECT title FROM feed_items WHERE item_id = ?", mine) == "newer"
    await pipeline.report("item", mine, "item.result", analysis(f"{mine}:1"))

    await pipeline.send("feed.item", item(mine, title="newest"), created_at="2026-11-20T13:00:00Z")

    assert pipeline.rows("SELECT title, status FROM feed_items WHERE item_id = ?", mine) == [("newest", "analysed")]
    assert pipeline.one("SELECT count(*) FROM work WHERE subject_id = ?", mine) == 1


async def test_a_callback_is_refused_unsigned_on_another_subject_and_for_an_unknown_id(
    pipeline: Pipeline, mine: str
) -> None:
    await pipeline.send("feed.item", item(mine))
    before = pipeline.one("SELECT count(*) FROM dead_letters")

    unsigned = await pipeline.report("item", mine, "item.result", analysis(f"{mine}:1"), **{"x-none": "1"})
    elsewhere = await pipeline.report("item", mine, "item.result", analysis(f"{mine}:1", item_id="item-2"))
    unknown = await pipeline.report("item", f"{mine}-unknown", "item.result", analysis(f"{mine}:1"))

    assert unsigned["error"]["code"] == "CALLBACK_SIGNATURE_INVALID"
    assert elsewhere["error"]["details"][0]["path"] == "payload.item_id"
    assert unknown["error"]["code"] == "RESOURCE_NOT_FOUND"
    assert pipeline.one("SELECT status FROM feed_items WHERE item_id = ?", mine) == "pending"
    assert pipeline.one("SELECT count(*) FROM dead_letters") == before + 3


async def test_an_event_that_is_known_for_one_item_is_a_mismatch_on_another(pipeline: Pipeline, mine: str) -> None:
    for item_id in (mine, f"{mine}-other"):
        await pipeline.send("feed.item", item(item_id))
    await pipeline.report("item", mine, "item.result", analysis(f"{mine}:1"))

    copied = await pipeline.report("item", f"{mine}-other", "item.result", analysis(f"{mine}:1"))

    assert copied["error"]["code"] == "EVENT_ID_PAYLOAD_MISMATCH"


async def test_a_publication_goes_out_at_its_moment_and_its_result_ends_it(pipeline: Pipeline, mine: str) -> None:
    publish_at = soon(seconds=1.5)
    assert (await pipeline.send("content.schedule", schedule(mine, publish_at=publish_at)))["status"] == 201
    message, work = await pipeline.take_work("publish")
    await message.ack()

    late = message.metadata.timestamp - datetime.fromisoformat(publish_at)
    assert late >= timedelta()
    assert (work["post_id"], work["hashtags"], work["attempt"]) == (mine, ["one", "two"], 1)
    result = await pipeline.report(
        "publish", mine, "publish.result", {"event_id": f"{mine}:e", "outcome": "published", "external_id": "x-1"}
    )
    assert result["status"] == 204
    assert pipeline.rows("SELECT status, external_id FROM publications WHERE post_id = ?", mine) == [
        ("published", "x-1")
    ]
    refused = await pipeline.send("content.schedule", schedule(mine))
    assert refused["error"]["code"] == "INVALID_STATE"


async def test_a_schedule_changes_until_it_went_out(pipeline: Pipeline, mine: str) -> None:
    await pipeline.send("content.schedule", schedule(mine, publish_at=soon(hours=1)))
    await pipeline.send("content.schedule", schedule(mine, publish_at=soon(seconds=0.5), caption="Now"))

    message, work = await pipeline.take_work("publish")

    await message.ack()
    assert work["caption"] == "Now"
    assert pipeline.one("SELECT status FROM publications WHERE post_id = ?", mine) == "dispatched"


async def test_a_retryable_failure_is_tried_again_later_and_a_final_one_is_not(pipeline: Pipeline, mine: str) -> None:
    await pipeline.send("content.schedule", schedule(mine, publish_at=soon()))
    message, _ = await pipeline.take_work("publish")
    await message.ack()
    busy = {"code": "BUSY", "message": "later", "retryable": True}
    await pipeline.report(
        "publish", mine, "publish.result", {"event_id": f"{mine}:e1", "outcome": "failed", "failure": busy}
    )
    assert pipeline.one("SELECT status FROM publications WHERE post_id = ?", mine) == "scheduled"
    assert pipeline.one("SELECT due_at > publish_at FROM publications WHERE post_id = ?", mine) == 1

    message, work = await pipeline.take_work("publish")
    await message.ack()
    assert work["attempt"] == 2
    gone = {"code": "GONE", "message": "never", "retryable": False}
    await pipeline.report(
        "publish", mine, "publish.result", {"event_id": f"{mine}:e2", "outcome": "failed", "failure": gone}
    )
    assert pipeline.one("SELECT status FROM publications WHERE post_id = ?", mine) == "failed"
    assert json.loads(pipeline.one("SELECT failure FROM publications WHERE post_id = ?", mine))["code"] == "GONE"


@pytest.mark.parametrize(
    ("failure", "waiting"),
    [(None, 0), ({"code": "BUSY", "message": "later", "retryable": True}, 1)],
    ids=["published", "to be tried again"],
)
async def test_a_worker_that_dies_between_report_and_acknowledgement_leaves_no_post_to_go_out_twice(
    pipeline: Pipeline, mine: str, failure: Json | None, waiting: int
) -> None:
    await pipeline.send("content.schedule", schedule(mine, publish_at=soon()))
    await pipeline.take_work("publish")
    outcome = {"outcome": "published"} if failure is None else {"outcome": "failed", "failure": failure}
    await pipeline.report("publish", mine, "publish.result", {"event_id": f"{mine}:e1", **outcome})
    await pipeline.becomes(1 + waiting, "SELECT attempt FROM publications WHERE post_id = ?", mine)

    async def the_reported_one_is_gone() -> bool:
        return await pipeline.waiting_work() == waiting

    await until(the_reported_one_is_gone)
    if waiting:
        message, work = await pipeline.take_work("publish")
        assert work["attempt"] == 2
        await message.ack()


async def test_what_is_due_while_the_daemon_is_dead_goes_out_when_it_is_back(pipeline: Pipeline, mine: str) -> None:
    await pipeline.send("content.schedule", schedule(mine, publish_at=soon(seconds=0.8)))
    await pipeline.kill_and_restart()

    await pipeline.becomes("dispatched", "SELECT status FROM publications WHERE post_id = ?", mine)

    async def one_waits() -> bool:
        return await pipeline.waiting_work() == 1

    await until(one_waits)
