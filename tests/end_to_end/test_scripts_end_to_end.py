"""Ideas and scripts through a real daemon: published, asked for, and found by the workers whom they concern."""

import json
import uuid

import pytest

from tests.end_to_end.conftest import Json, Pipeline, soon

pytestmark = pytest.mark.process

IDEA = {
    "idea_id": "idea-1",
    "topic": "Harbours",
    "objective": "saves",
    "hook": "You have walked past this door",
    "format": "short video",
}
SCRIPT = {
    "script_id": "script-1",
    "idea_id": "idea-1",
    "title": "The harbour door",
    "body": "Most people pass it. We went in.",
    "duration_s": 30,
    "scenes": [{"text": "A door", "duration_s": 10}, {"text": "The hall", "duration_s": 20}],
}
TOLD = {name: value for name, value in SCRIPT.items() if name != "idea_id"}


async def ask(pipeline: Pipeline, name: str, payload: Json) -> Json:
    return await pipeline.command(name, payload, family="cmd")


async def job_from_script(pipeline: Pipeline) -> str:
    project = await ask(pipeline, "project.create", {"name": "A project"})
    created = {"project_id": project["result"]["project_id"], "title": "A job", "script_id": "script-1"}
    made = await ask(pipeline, "job.create", created)
    assert (made["status"], made["result"]["status"]) == (201, "UPLOADED")
    return str(made["result"]["job_id"])


async def test_a_job_made_from_a_script_brings_it_to_the_worker(pipeline: Pipeline) -> None:
    assert (await pipeline.send("content.idea", IDEA))["outcome"] == "accepted"
    assert (await pipeline.send("content.script", SCRIPT))["outcome"] == "accepted"
    job_id = await job_from_script(pipeline)

    assert (await ask(pipeline, "job.run", {"job_id": job_id}))["status"] == 202

    message, work = await pipeline.take_work("job.process")
    await message.ack()
    assert (work["job_id"], work["script"]) == (job_id, TOLD)
    read = (await ask(pipeline, "script.get", {"script_id": "script-1"}))["result"]
    assert (read["title"], read["idea"]["hook"]) == ("The harbour door", IDEA["hook"])
    (listed,) = (await ask(pipeline, "idea.list", {"from": soon(minutes=-5), "to": soon(minutes=5)}))["result"]["items"]
    assert listed["idea_id"] == "idea-1"


async def test_a_script_that_comes_after_its_job_is_in_the_work_all_the_same(pipeline: Pipeline) -> None:
    job_id = await job_from_script(pipeline)
    assert (await ask(pipeline, "script.get", {"script_id": "script-1"}))["error"]["code"] == "RESOURCE_NOT_FOUND"
    assert (await pipeline.send("content.script", SCRIPT))["outcome"] == "accepted"

    await ask(pipeline, "job.run", {"job_id": job_id})

    message, work = await pipeline.take_work("job.process")
    await message.ack()
    assert work["script"] == TOLD
    assert (await ask(pipeline, "script.get", {"script_id": "script-1"}))["result"]["idea"] is None
    await pipeline.send("content.idea", IDEA)
    assert (await ask(pipeline, "script.get", {"script_id": "script-1"}))["result"]["idea"]["topic"] == "Harbours"


async def test_a_publication_brings_its_script_to_the_publisher(pipeline: Pipeline) -> None:
    post = {
        "post_id": "post-1",
        "script_id": "script-1",
        "platform": "video-site",
        "publish_at": soon(hours=1),
        "caption": "Look",
        "hashtags": [],
    }
    await pipeline.send("content.schedule", post)
    await pipeline.send("content.script", SCRIPT)
    await pipeline.send("content.schedule", post | {"publish_at": soon()})

    message, work = await pipeline.take_work("publish")

    await message.ack()
    assert work["script"] == TOLD


async def test_a_script_is_kept_once_however_often_it_comes_and_the_newest_is_the_one(pipeline: Pipeline) -> None:
    same = {"message_id": str(uuid.uuid4()), "created_at": "2026-11-20T12:00:00Z"}
    first = await pipeline.send("content.script", SCRIPT, **same)
    again = await pipeline.send("content.script", SCRIPT, **same)
    other = await pipeline.send("content.script", SCRIPT | {"body": "Other"}, **same)
    older = await pipeline.send("content.script", SCRIPT | {"body": "Older"}, created_at="2026-11-20T11:00:00Z")

    assert [(each["outcome"], each["status"]) for each in (first, again, older)] == [
        ("accepted", 201),
        ("duplicate", 200),
        ("accepted", 201),
    ]
    assert other["error"]["code"] == "IDEMPOTENCY_CONFLICT"
    [(body, scenes)] = pipeline.rows("SELECT body, scenes FROM scripts")
    assert (body, json.loads(scenes)) == (SCRIPT["body"], SCRIPT["scenes"])
