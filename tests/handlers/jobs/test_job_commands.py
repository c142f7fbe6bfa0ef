"""Commands on projects and jobs: what each is answered, what it changes, and what goes out with it."""

from itertools import pairwise

import orjson
from sqlalchemy import select

from contracts.errors import ErrorCode
from storage.engine.database import Database
from storage.tables.work import work, work_removals
from tests.handlers.deciding import rows, waiting
from tests.handlers.jobs.owners import BLOCKS, SCENES, House, code, command, result

NOWHERE = "01a1fce4-0000-7000-8000-000000000000"


async def test_a_project_belongs_to_who_made_it(database: Database) -> None:
    house = House(database)

    made = await house.give("project.create", {"name": "Mine"})

    assert made.status == 201
    project_id = result(made)["project_id"]
    assert result(await house.ask("project.get", {"project_id": project_id})) == result(made)
    assert code(await house.ask("project.get", {"project_id": project_id}, owner="bob")) is ErrorCode.RESOURCE_NOT_FOUND
    assert result(await house.ask("project.list", {}, owner="bob"))["items"] == []


async def test_a_job_is_created_empty_and_one_from_a_prompt_has_its_input(database: Database) -> None:
    house = House(database)
    project_id = await house.project()

    empty = await house.give("job.create", {"project_id": project_id, "title": "Upload", "estimated_cost_usd": "1.5"})
    prompted = await house.give("job.create", {"project_id": project_id, "title": "Prompt", "prompt": "Say it"})

    assert (empty.status, prompted.status) == (201, 201)
    assert (result(empty)["status"], result(empty)["version"]) == ("CREATED", 1)
    assert (result(prompted)["status"], result(prompted)["version"]) == ("UPLOADED", 2)
    assert result(empty)["estimated_cost_usd"] == "1.500000"
    told = [
        (each["kind"], each["payload"]["job_id"], each["payload"]["version"]) for each in await house.told("HG_EVENT")
    ]
    assert told == [
        ("job.created", result(empty)["job_id"], 1),
        ("job.created", result(prompted)["job_id"], 1),
        ("job.transitioned", result(prompted)["job_id"], 2),
    ]


async def test_the_view_has_every_field_of_the_contract(database: Database) -> None:
    house = House(database)

    view = await house.view(await house.job())

    assert set(view) == {
        "job_id", "project_id", "title", "status", "progress", "approved", "approved_by", "approved_at", "retry_of",
        "attempt", "dispatches", "instruction_id", "video_uri", "video_url", "estimated_cost_usd", "actual_cost_usd",
        "error", "version", "created_at", "updated_at",
    }  # fmt: skip


async def test_the_straight_way_to_ready(database: Database) -> None:
    """Every command of it, and each again: the second time it is met and sends nothing."""
    house = House(database)
    project_id = await house.project()
    job_id = result(await house.give("job.create", {"project_id": project_id, "title": "A job"}))["job_id"]
    this = {"job_id": job_id}
    upload = {**this, "video_uri": "s3://videos/1"}

    async def twice(name: str, payload: dict[str, str]) -> tuple[int, int, str]:
        first, second = await house.give(name, payload), await house.give(name, payload)
        assert result(first) == result(second)
        return first.status, second.status, result(second)["status"]

    assert code(await house.give("job.run", this)) is ErrorCode.INVALID_TRANSITION
    assert await twice("job.confirm-upload", upload) == (200, 200, "UPLOADED")
    conflict = await house.give("job.confirm-upload", {**this, "video_uri": "s3://videos/2"})
    assert code(conflict) is ErrorCode.UPLOAD_CONFLICT
    assert await twice("job.run", this) == (202, 200, "QUEUED")
    assert code(await house.ask("job.transcript", this)) is ErrorCode.INVALID_STATE

    for sequence, status in enumerate(("TRANSCRIBING", "DRAFTING"), 1):
        assert (await house.report(job_id, sequence, status)).status == 204
    made = {"instruction": {"blocks": BLOCKS}, "storyboard": SCENES}
    assert (await house.report(job_id, 3, "AWAITING_APPROVAL", artifacts=made)).status == 204

    assert code(await house.give("job.render", this)) is ErrorCode.APPROVAL_REQUIRED
    assert await twice("job.approve", this) == (200, 200, "AWAITING_APPROVAL")
    assert (await house.view(job_id))["approved_by"] == "ada"
    first, second = await house.give("job.render", this), await house.give("job.render", this)
    assert (first.status, result(first)["status"], code(second)) == (202, "RENDERING", ErrorCode.INVALID_TRANSITION)
    video = {"video_url": "https://videos.example/1"}
    assert (await house.report(job_id, 1, "READY", attempt=2, artifacts=video)).status == 204
    assert (await house.view(job_id))["video_url"] == "https://videos.example/1"

    handed_out = [each["payload"] for each in await house.told("HG_WORK")]
    assert [(each["attempt"], each["job_id"]) for each in handed_out] == [(1, job_id), (2, job_id)]
    assert handed_out[0]["video_uri"] == "s3://videos/1"
    assert handed_out[1]["instruction"] == {"version": 1, "blocks": BLOCKS}
    assert handed_out[1]["storyboard"] == SCENES
    assert handed_out[1]["callback_subject"] == f"hg.callback.job.{job_id}"


async def test_each_transition_is_audited_and_told_exactly_once(database: Database) -> None:
    house = House(database)
    job_id = await house.drafted()
    await house.give("job.cancel", {"job_id": job_id})

    history = result(await house.ask("job.history", {"job_id": job_id}))["items"]

    way = ["CREATED", "UPLOADED", "QUEUED", "TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "CANCELLED"]
    assert [(each["from"], each["to"]) for each in reversed(history)] == list(pairwise(way))
    assert {each["who"] for each in history} == {"ada", "worker-1"}
    told = [each["payload"] for each in await house.told("HG_EVENT") if each["kind"] == "job.transitioned"]
    assert [(each["version"], each["from"], each["to"]) for each in told] == [
        (each["version"], each["from"], each["to"]) for each in reversed(history)
    ]


async def test_what_is_absent_and_what_is_another_s_are_answered_alike(database: Database) -> None:
    house = House(database)
    job_id = await house.drafted()
    project_id = (await house.view(job_id))["project_id"]
    changing = ("job.run", "job.approve", "job.render", "job.cancel", "job.retry")
    asking = ("job.get", "job.transcript", "job.storyboard", "job.history")

    foreign = [await house.give(name, {"job_id": job_id}, owner="bob") for name in changing]
    absent = [await house.give(name, {"job_id": NOWHERE}) for name in changing]
    foreign += [await house.ask(name, {"job_id": job_id}, owner="bob") for name in asking]
    absent += [await house.ask(name, {"job_id": NOWHERE}) for name in asking]
    foreign.append(await house.give("job.create", {"project_id": project_id, "title": "t"}, owner="bob"))
    absent.append(await house.give("job.create", {"project_id": NOWHERE, "title": "t"}))
    foreign.append(await house.ask("job.list", {"project_id": project_id}, owner="bob"))
    absent.append(await house.ask("job.list", {"project_id": NOWHERE}))

    problems = {orjson.dumps(None if each.problem is None else each.problem.as_json()) for each in foreign + absent}
    assert len(problems) == 1
    assert orjson.loads(problems.pop())["code"] == "RESOURCE_NOT_FOUND"
    assert (await house.view(job_id))["status"] == "AWAITING_APPROVAL"


async def test_a_cancelled_job_takes_its_work_back_and_tells_its_worker(database: Database) -> None:
    house = House(database)
    job_id = await house.running()

    cancelled, again = [await house.give("job.cancel", {"job_id": job_id}) for _ in range(2)]

    assert (cancelled.status, again.status, result(again)["status"]) == (200, 200, "CANCELLED")
    assert await waiting(database, "HG_WORK") == []
    assert len(await rows(database, select(work_removals.c.message_id))) == 1
    (row,) = await rows(database, select(work))
    assert row["state"] == "cancelled"
    (told,) = [each["payload"] for each in await house.told("HG_EVENT") if each["kind"] == "job.cancelled"]
    assert (told["work_id"], told["attempt"], told["to"]) == (row["work_id"], 1, "CANCELLED")
    late = await house.report(job_id, 1, "TRANSCRIBING")
    assert late.error is not None
    assert late.error["code"] == "INVALID_TRANSITION"


async def test_work_that_never_went_out_leaves_nothing_behind(database: Database) -> None:
    """Run and cancelled in one transaction."""
    house = House(database)
    job_id = await house.job()

    done = await house.execute_commands([command(name, {"job_id": job_id}) for name in ("job.run", "job.cancel")])

    assert [reply.status for reply in done.replies] == [202, 200]
    assert await waiting(database, "HG_WORK") == []
    assert await rows(database, select(work)) == []
    assert (await house.view(job_id))["status"] == "CANCELLED"


async def test_a_retried_job_goes_on_where_the_failed_one_ended(database: Database) -> None:
    house = House(database)
    job_id = await house.drafted()
    await house.give("job.approve", {"job_id": job_id})
    await house.give("job.render", {"job_id": job_id})
    failure = {"code": "GPU_GONE", "message": "no card left", "retryable": True}
    failed = await house.report(job_id, 1, "FAILED", attempt=2, failure=failure, checkpoint={"frame": 7})
    assert failed.error is None

    first, second = [await house.give("job.retry", {"job_id": job_id}) for _ in range(2)]

    assert (first.status, second.status) == (202, 200)
    new, old = result(first), await house.view(job_id)
    assert new == result(second)
    assert (new["retry_of"], new["attempt"], new["status"]) == (job_id, 2, "QUEUED")
    assert (new["approved"], new["actual_cost_usd"], new["error"]) == (False, "0.000000", None)
    assert (old["status"], old["error"], old["actual_cost_usd"]) == ("FAILED", failure, "0.250000")
    assert new["instruction_id"] not in (None, old["instruction_id"])
    asked = [await house.ask("job.storyboard", {"job_id": each}) for each in (new["job_id"], job_id)]
    assert code(asked[0]) is ErrorCode.INVALID_STATE, "a queued job shows nothing yet"
    assert len(result(asked[1])["items"]) == 2
    (handed_out,) = [
        each["payload"] for each in await house.told("HG_WORK") if each["payload"]["job_id"] == new["job_id"]
    ]
    assert handed_out["checkpoint"] == {"frame": 7}
    await house.report(new["job_id"], 1, "TRANSCRIBING")
    await house.report(new["job_id"], 2, "DRAFTING")
    assert [each["text"] for each in result(await house.ask("job.transcript", {"job_id": new["job_id"]}))["items"]] == [
        "One.",
        "Two.",
        "Three.",
    ]


async def test_only_a_valid_instruction_is_approved(database: Database) -> None:
    house = House(database)
    job_id = await house.drafted(blocks=[{"block_id": "b1", "type": "step", "text": ""}])

    assert code(await house.give("job.approve", {"job_id": job_id})) is ErrorCode.INVALID_STATE


async def test_the_status_bucket_gets_each_view_once_per_change(database: Database) -> None:
    house = House(database)
    job_id = await house.running()

    views = await house.told("KV_HG_STATUS")

    assert [(view["version"], view["status"]) for view in views] == [(2, "UPLOADED"), (3, "QUEUED")]
    assert views[-1] == await house.view(job_id)
    subjects = {message.subject for message in await waiting(database, "KV_HG_STATUS")}
    assert subjects == {f"$KV.HG_STATUS.job.{job_id}"}
