"""Self-healing through a real daemon: work that nobody answered goes out again, a few times, then it is given up."""

import json
from typing import Any, Final

import orjson
import pytest

from tests.end_to_end.conftest import SECRET, Pipeline, soon, until
from tests.support.commands import ask, command
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kills

Json = dict[str, Any]

WORKER: Final = "item-analyse"


@pytest.fixture
def settings() -> str:
    """Rounds only when they are asked for; what a worker does not answer within a second is overdue."""
    return f"""
[callbacks]
secrets = ["{SECRET}"]
[self_heal]
interval_s = 600
threshold_s = 1
max_attempts = 2
batch_size = 3
[work."item.analyse"]
deadline_s = 1
[work.publish]
deadline_s = 1
[work."job.process"]
deadline_s = 1
[alerts]
interval_s = 0.2
[alerts.rules.work_not_taken]
resolve_after_s = 0.1
"""


@pytest.fixture(autouse=True)
async def first_round_is_over(pipeline: Pipeline) -> None:
    """A daemon runs a round when it starts; the tests are about those that they ask for."""
    await pipeline.becomes(1, "SELECT count(*) FROM self_heal_rounds")


def item(item_id: str = "item-1") -> Json:
    return {
        "item_id": item_id,
        "source": "news",
        "title": "A title",
        "url": "https://example.org/1",
        "published_at": "2026-11-20T10:00:00Z",
    }


async def heal(pipeline: Pipeline, **parameters: object) -> Json:
    reply = await pipeline.command("self-heal", parameters)
    assert reply["status"] == 200
    return dict(reply["result"])


async def healed_once(pipeline: Pipeline, what: str = "items") -> Json:
    """The first round that finds something: the deadline of a second is not over at once."""

    async def found() -> Json | None:
        done = await heal(pipeline)
        return done if done["by"][what]["found"] else None

    return await until(found)


async def test_unanswered_work_goes_out_again_with_its_attempt_raised_and_is_given_up_in_the_end(
    pipeline: Pipeline,
) -> None:
    alerts = await pipeline.nc.subscribe("hg.event.alert.work_given_up.critical")
    await pipeline.send("feed.item", item())
    seen = []
    for attempt in (1, 2, 3):
        message, work = await pipeline.take_work("item.analyse")
        await message.ack()
        seen.append((work["attempt"], work["work_id"]))
        done = await healed_once(pipeline)
        assert done["items_republished"] == (1 if attempt < 3 else 0)

    assert [number for number, _ in seen] == [1, 2, 3]
    assert len({work_id for _, work_id in seen}) == 1
    assert pipeline.one("SELECT status FROM feed_items") == "failed"
    assert json.loads(pipeline.one("SELECT failure FROM feed_items"))["code"] == "DEADLINE_EXCEEDED"
    alert = json.loads((await alerts.next_msg(timeout=PATIENCE_S)).data)["payload"]
    assert alert["facts"] == {"newest": ["items item-1"]}
    assert await pipeline.waiting_work() == 0
    assert pipeline.one("SELECT count(*) FROM ops_runs WHERE operation = 'self-heal' AND status <> 'succeeded'") == 0


async def test_at_most_one_message_of_a_work_lies_in_the_queue(pipeline: Pipeline) -> None:
    await pipeline.send("feed.item", item())
    taken, _ = await pipeline.take_work("item.analyse")

    await healed_once(pipeline)
    again, work = await pipeline.take_work("item.analyse")

    assert work["attempt"] == 2
    assert await pipeline.waiting_work() == 1
    assert again.metadata.sequence.stream > taken.metadata.sequence.stream
    await pipeline.becomes(0, "SELECT count(*) FROM work_removals")


async def test_while_nobody_takes_it_the_time_of_work_stands_still_and_an_alert_says_so(pipeline: Pipeline) -> None:
    alerts = await pipeline.nc.subscribe("hg.event.alert.work_not_taken.*")
    await pipeline.send("feed.item", item())
    await heal(pipeline)
    alert = json.loads((await alerts.next_msg(timeout=PATIENCE_S)).data)["payload"]
    assert (alert["severity"], [*alert["facts"]["work"]]) == ("warning", ["item.analyse"])
    before = pipeline.one("SELECT deadline_at - counted_from FROM work")
    await until(lambda: _past(pipeline))

    done = await heal(pipeline)

    assert done["items_found"] == 0
    assert pipeline.one("SELECT deadline_at - counted_from FROM work") == before
    message, work = await pipeline.take_work("item.analyse")
    await message.ack()
    assert work["attempt"] == 1
    await healed_once(pipeline)
    assert json.loads((await alerts.next_msg(timeout=PATIENCE_S)).data)["payload"]["severity"] == "ok"


async def _past(pipeline: Pipeline) -> bool:
    """Whether the deadline as it was told to the worker is past."""
    sent = await pipeline.js.get_last_msg("HG_WORK", "hg.work.item.analyse")
    return bool(json.loads(sent.data or b"{}")["payload"]["deadline"] < soon())


async def test_what_has_its_result_is_never_touched(pipeline: Pipeline) -> None:
    await pipeline.send("feed.item", item())
    message, _ = await pipeline.take_work("item.analyse")
    await message.ack()
    sentiment = {"label": "neutral", "score": 0.5}
    await pipeline.report("item", "item-1", "item.result", {"event_id": "e", "sentiment": sentiment})
    await pipeline.send("feed.item", item("item-2"))
    message, _ = await pipeline.take_work("item.analyse")
    await message.ack()

    done = await healed_once(pipeline)

    assert done["items_found"] == 1
    assert pipeline.rows("SELECT item_id, attempt FROM feed_items ORDER BY item_id") == [("item-1", 1), ("item-2", 2)]


async def test_a_round_heals_no_more_of_a_sort_than_the_batch_size_and_a_dry_run_heals_nothing(
    pipeline: Pipeline,
) -> None:
    for number in range(5):
        await pipeline.send("feed.item", item(f"item-{number}"))
    for _ in range(5):
        message, _ = await pipeline.take_work("item.analyse")
        await message.ack()

    async def all_late() -> bool:
        return bool((await heal(pipeline, dry_run=True))["items_found"] == 3)

    await until(all_late)
    assert pipeline.one("SELECT max(attempt) FROM work") == 1

    assert (await heal(pipeline))["items_republished"] == 3
    assert pipeline.one("SELECT count(*) FROM work WHERE attempt = 2") == 3


async def test_a_publication_that_the_publisher_does_not_answer_goes_out_again(pipeline: Pipeline) -> None:
    post = {"post_id": "p", "platform": "site", "publish_at": soon(), "caption": "Look", "hashtags": []}
    await pipeline.send("content.schedule", post)
    message, _ = await pipeline.take_work("publish")
    await message.ack()

    done = await healed_once(pipeline, "publications")

    assert done["by"]["publications"]["republished"] == 1
    _, work = await pipeline.take_work("publish")
    assert work["attempt"] == 2


async def test_a_job_whose_worker_falls_silent_goes_out_again_and_fails_in_the_end(pipeline: Pipeline) -> None:
    project = await pipeline.command("project.create", {"name": "A project"}, family="cmd")
    job = await pipeline.command(
        "job.create",
        {"project_id": project["result"]["project_id"], "title": "A job", "prompt": "Make it"},
        family="cmd",
    )
    job_id = job["result"]["job_id"]
    await pipeline.command("job.run", {"job_id": job_id}, family="cmd")
    for attempt in (1, 2, 3):
        message, work = await pipeline.take_work("job.process")
        await message.ack()
        assert (work["job_id"], work["attempt"], work["prompt"]) == (job_id, attempt, "Make it")
        await healed_once(pipeline, "jobs")

    found = await pipeline.command("job.get", {"job_id": job_id}, family="cmd")
    assert (found["result"]["status"], found["result"]["error"]["code"]) == ("FAILED", "DEADLINE_EXCEEDED")
    late = await pipeline.report(
        "job", job_id, "job.status", {"event_id": "late", "attempt": 1, "sequence": 1, "status": "TRANSCRIBING"}
    )
    assert late["error"]["code"] == "STALE_ATTEMPT"


async def test_one_that_cannot_be_healed_stops_no_other(pipeline: Pipeline) -> None:
    for item_id in ("bad", "good"):
        await pipeline.send("feed.item", item(item_id))
        message, _ = await pipeline.take_work("item.analyse")
        await message.ack()
    pipeline.write("UPDATE feed_items SET status = 'no such state' WHERE item_id = 'bad'")

    async def both_found() -> Json | None:
        done = await heal(pipeline)
        return done if done["errors"] and done["items_republished"] else None

    done = await until(both_found)

    assert (done["items_found"], done["items_republished"], done["errors"]) == (2, 1, 1)
    assert pipeline.one("SELECT attempt FROM feed_items WHERE item_id = 'good'") == 2


async def test_the_outbox_of_a_dead_daemon_is_published_and_that_of_a_living_one_left_alone(pipeline: Pipeline) -> None:
    expired, in_force = 0, 2**52
    for owner, expires_at in (("dead", expired), ("alive", in_force)):
        pipeline.write("INSERT INTO leases VALUES (?, ?, 1, ?)", f"daemon.{owner}", owner, expires_at)
        pipeline.write(
            "INSERT INTO outbox (message_id, lane, aggregate, subject, headers, owner, created_at, state, body)"
            " VALUES (?, 'HG_EVENT', 'x', ?, '{}', ?, 1, 'pending', ?)",
            *(f"of-{owner}", f"hg.event.x.{owner}.told", owner, b"{}"),
        )

    done = await heal(pipeline)

    assert done["by"]["outbox"] == {"found": 1, "republished": 1, "given_up": 0}
    await pipeline.becomes("alive", "SELECT group_concat(owner) FROM outbox")
    assert (await pipeline.js.get_last_msg("HG_EVENT", "hg.event.x.dead.told")).data == b"{}"


async def test_a_replay_that_was_never_heard_of_again_leaves_its_dead_letter_open(pipeline: Pipeline) -> None:
    await pipeline.send("feed.item", {"item_id": "incomplete"})
    pipeline.write("UPDATE dead_letters SET state = 'replaying', replay_number = 1")
    pipeline.write(
        "INSERT INTO dead_letter_replays (dead_letter_id, replay_number, run_id, principal, requested_at)"
        " SELECT dead_letter_id, 1, 'run', 'ops', 1 FROM dead_letters"
    )

    await heal(pipeline)

    assert pipeline.one("SELECT state FROM dead_letters") == "open"


async def test_a_killed_daemon_leaves_one_message_of_each_work(pipeline: Pipeline) -> None:
    await pipeline.send("feed.item", item())
    await pipeline.take_work("item.analyse")
    for attempt in (2, 3):
        await healed_once(pipeline)
        await pipeline.kill_and_restart()
        await pipeline.becomes(0, "SELECT count(*) FROM work_removals")
        await pipeline.becomes(0, "SELECT count(*) FROM outbox")

        async def one_lies_there() -> bool:
            return await pipeline.waiting_work() == 1

        await until(one_lies_there)
        message, work = await pipeline.take_work("item.analyse")
        assert work["attempt"] == attempt
        await message.nak()


async def test_a_round_that_is_asked_for_again_is_answered_with_the_first_ones_result(pipeline: Pipeline) -> None:
    asked = orjson.dumps(command("self-heal", {}, message_id="round-1"))
    first = await ask(pipeline.nc, "hg.ops.self-heal", body=asked)
    last_round = pipeline.one("SELECT started_at FROM self_heal_rounds")
    again = await ask(pipeline.nc, "hg.ops.self-heal", body=asked)
    changed = orjson.dumps(command("self-heal", {"dry_run": True}, message_id="round-1"))
    conflict = await ask(pipeline.nc, "hg.ops.self-heal", body=changed)

    assert first.status == again.status == 200
    assert (again.payload["replayed"], again.result) == (True, first.result)
    assert conflict.error["code"] == "IDEMPOTENCY_CONFLICT"
    assert pipeline.one("SELECT started_at FROM self_heal_rounds") == last_round
