"""Operators' questions beside a real daemon: who one is, what bears an id, the whole story of it."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import nats
import orjson
import pytest
import pytest_asyncio
from nats.js.errors import KeyNotFoundError

from tests.contracts.samples import envelope, usage
from tests.daemon.operations.operating import Operator, until
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest_asyncio.fixture
async def operator(daemon: DaemonProcess) -> AsyncIterator[Operator]:
    client = await nats.connect(daemon.nats_url)
    yield Operator(client)
    await client.close()


async def command(operator: Operator, name: str, payload: dict[str, Any]) -> Any:
    body = orjson.dumps(envelope(payload, name, "1.0", message_id=str(uuid.uuid4()), producer="owner"))
    reply = await operator.nc.request(f"hg.cmd.{name}", body, timeout=PATIENCE_S)
    return orjson.loads(reply.data)["payload"]


async def test_about_tells_who_one_is_and_what_the_daemon_is(operator: Operator) -> None:
    told = await operator.result("about")
    assert (told["principal"], told["auth"], told["prefix"]) == ("local", "none", "hg")
    assert told["daemon"]["id"] in told["daemons"]
    assert told["limits"]["max_bytes"] == 262_144
    assert "ops:read" in told["scopes"]


async def test_a_record_that_was_edited_twice_and_accepted_is_told_from_its_arrival_on(operator: Operator) -> None:
    record = envelope({**usage(), "status": "fine"}, "session.usage", "2.0", message_id="twice:1", producer="planner-7")
    await operator.publish(record)
    [letter] = await until(lambda: found_letters(operator))
    for status in ("worse", "ok"):
        mended = {**record, "payload": {**record["payload"], "status": status}}
        await operator.result(
            "dead-letters",
            action="edit",
            dead_letter_id=letter,
            body=orjson.dumps(mended).decode(),
            reason="an old enum",
        )
        await until(lambda: is_decided(operator, letter))

    story = (await operator.result("explain", {"kind": "session.usage", "message_id": "twice:1"}))["items"]

    assert [item["what"] for item in story] == [
        *("received", "refused", "dead_letter", "edited", "refused", "edited", "accepted", "accepted", "row"),
    ]
    assert [item["at"] for item in story] == sorted(item["at"] for item in story)
    refusals = [item["details"]["paths"] for item in story if item["what"] == "refused"]
    assert refusals == [["payload.status"], ["payload.status"]]
    edits = [item for item in story if item["what"] == "edited"]
    assert [(item["by"], item["details"]["reason"]) for item in edits] == [("local", "an old enum")] * 2
    by_id = (await operator.result("explain", id=letter))["items"]
    assert [item["what"] for item in by_id] == [item["what"] for item in story]


async def test_a_thing_and_a_trace_tell_how_the_message_came_in(operator: Operator) -> None:
    wrong = {
        "post_id": "story-post",
        "platform": "reels",
        "publish_at": "2036-11-20T10:15:30Z",
        "caption": "a caption",
        "hashtags": [],
        "objective": "fame",
    }
    record = envelope(wrong, "content.schedule", "1.0", message_id="story:1", trace_id=str(uuid.uuid4()))
    await operator.publish(record, "content.schedule")
    [letter] = await until(lambda: found_letters(operator, "story:1"))
    body = orjson.dumps({**record, "payload": {**wrong, "objective": "reach"}}).decode()
    await operator.result("dead-letters", action="edit", dead_letter_id=letter, body=body)
    await until(lambda: is_decided(operator, letter))
    counts = dict.fromkeys(("impressions", "reach", "likes", "comments", "saves", "shares", "views"), 7)
    measured = {"post_id": "story-post", "platform": "reels", "at": "2036-11-21T10:15:30Z", **counts}
    sample = envelope({**measured, "watch_through": 0.5}, "content.performance", "1.0")
    await operator.publish(sample, "content.performance")
    story = await until(lambda: story_of(operator, 8, id="story-post"))

    assert [item["what"] for item in story] == [
        *("received", "refused", "dead_letter", "edited", "accepted", "accepted", "row", "row"),
    ]
    assert story[1]["details"]["paths"] == ["payload.objective"]
    assert [item["details"]["table"] for item in story[-2:]] == ["publications", "post_measurements"]
    by_trace = await story_of(operator, 1, trace_id=record["trace_id"])
    assert [item["what"] for item in by_trace] == ["received", "refused", "dead_letter", "edited", "accepted", "row"]


async def story_of(operator: Operator, least: int, **asked: str) -> list[Any]:
    """Empty until it has so many items."""
    items: list[Any] = (await operator.result("explain", **asked))["items"]
    return items if len(items) >= least else []


async def found_letters(operator: Operator, message_id: str = "twice:1") -> list[str]:
    items = (await operator.result("dead-letters", action="list", message_ids=[message_id]))["items"]
    return [item["dead_letter_id"] for item in items]


async def is_decided(operator: Operator, letter: str) -> bool:
    shown = await operator.result("dead-letters", action="show", dead_letter_id=letter)
    return bool(shown["state"] != "replaying")


async def test_the_story_of_a_job_has_its_transitions_and_its_work(operator: Operator) -> None:
    project = (await command(operator, "project.create", {"name": "films"}))["result"]["project_id"]
    made = await command(operator, "job.create", {"project_id": project, "title": "Teaser", "prompt": "a cat"})
    job = made["result"]["job_id"]
    await command(operator, "job.run", {"job_id": job})
    await command(operator, "job.cancel", {"job_id": job})

    story = (await operator.result("explain", id=job))["items"]
    moves = [(item.get("from"), item["to"]) for item in story if item["what"] == "transition"]
    assert moves == [("CREATED", "UPLOADED"), ("UPLOADED", "QUEUED"), ("QUEUED", "CANCELLED")]
    assert [item["details"]["type"] for item in story if item["what"] == "dispatched"] == ["job.process"]

    pages = await paged(operator, id=job, limit=2)
    assert pages == story

    found = (await operator.result("find", id=job))["items"]
    assert [(item["what"], item["label"]) for item in found] == [("job", "Teaser")]
    listed = await operator.result("jobs", project_id=project)
    assert [(item["job_id"], item["owner"], item["dispatches"]) for item in listed["items"]] == [(job, "local", 1)]
    assert listed["counts"] == {"CANCELLED": 1}


async def paged(operator: Operator, **asked: Any) -> list[Any]:
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = await operator.result("explain", **asked, **cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"id": "absent"}, "RESOURCE_NOT_FOUND"),
        ({"trace_id": "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c12"}, "RESOURCE_NOT_FOUND"),
        ({"kind": "session.usage", "message_id": "absent"}, "RESOURCE_NOT_FOUND"),
        ({}, "VALIDATION_ERROR"),
        ({"kind": "session.usage"}, "VALIDATION_ERROR"),
        ({"id": "a", "trace_id": "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c12"}, "VALIDATION_ERROR"),
    ],
    ids=str,
)
async def test_what_is_not_known_or_asked_wrongly_is_refused(operator: Operator, asked: Any, code: str) -> None:
    assert (await operator.ask("explain", asked))["error"]["code"] == code


async def test_questions_leave_no_row(operator: Operator) -> None:
    before = (await operator.result("runs", limit=500))["items"]
    assert (await operator.result("find", id="absent")) == {"run_id": None, "items": []}
    await operator.result("about")
    assert (await operator.result("runs", limit=500))["items"] == before


async def test_a_run_has_a_key_that_ends_with_it(operator: Operator) -> None:
    run_id = (await operator.result("prune"))["run_id"]
    bucket = await operator.nc.jetstream(timeout=PATIENCE_S).key_value("HG_STATUS")

    async def last_word() -> Any:
        try:
            view = orjson.loads((await bucket.get(f"run.{run_id}")).value or b"{}")
        except KeyNotFoundError:
            return None
        return view if view["status"] != "running" else None

    view = await until(last_word)
    assert (view["run_id"], view["operation"], view["status"]) == (run_id, "prune", "succeeded")
    assert view["started_at"] <= view["ended_at"]
