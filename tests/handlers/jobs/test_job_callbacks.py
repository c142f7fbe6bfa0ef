"""Callbacks of jobs through the gate: what is taken, what is refused and kept, and what changes with it."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select

from contracts.errors import ErrorCode
from handlers.batch import decide_batch
from handlers.effects import MessageOutcome, Verdict
from handlers.registry import FAMILIES
from storage.engine.database import Database
from storage.tables.jobs import instruction_versions, job_events, jobs
from storage.tables.work import callback_events, work
from storage.unit_of_work import UnitOfWork
from tests.handlers.deciding import NOW, letters, rows
from tests.handlers.jobs.owners import BLOCKS, SCENES, SEGMENTS, House, code, report, result
from tests.support import statements

SECOND = 1_000_000


def codes(outcomes: Sequence[MessageOutcome]) -> list[object]:
    """The status of each, or the code of what refused it."""
    return [outcome.status if outcome.error is None else outcome.error["code"] for outcome in outcomes]


async def test_a_batch_is_decided_in_its_order(database: Database) -> None:
    house = House(database)
    first, second = [await house.running() for _ in range(2)]
    batch = [
        house.delivery(first, report(1, "TRANSCRIBING", progress=5)),
        house.delivery(second, report(1, "TRANSCRIBING")),
        house.delivery(first, report(2, "DRAFTING", progress=40.5)),
        house.delivery(first, report(3, "AWAITING_APPROVAL")),
        house.delivery(second, report(2, "FAILED", failure={"code": "X", "message": "why", "retryable": False})),
        house.delivery(first, report(3, "AWAITING_APPROVAL")),
    ]

    outcomes = await house.decide_batch(batch)

    assert codes(outcomes) == [204, 204, 204, 204, 204, "CALLBACK_OUT_OF_ORDER"]
    assert ((await house.view(first))["status"], (await house.view(first))["progress"]) == ("AWAITING_APPROVAL", 40.5)
    assert (await house.view(second))["error"] == {"code": "X", "message": "why", "retryable": False}
    states = {row["subject_id"]: row["state"] for row in await rows(database, select(work))}
    assert states == {first: "done", second: "failed"}


async def test_an_event_counts_once_under_whatever_message_id_it_comes(database: Database) -> None:
    house = House(database)
    job_id, other = await house.running(), await house.running()
    said = report(1, "TRANSCRIBING", event_id="e-1", cost_usd="1")
    assert codes(await house.decide_batch([house.delivery(job_id, said)])) == [204]

    again, changed, elsewhere = await house.decide_batch(
        [
            house.delivery(job_id, said),
            house.delivery(job_id, {**said, "cost_usd": "2"}),
            house.delivery(other, said),
        ]
    )

    assert (again.verdict, again.status) == (Verdict.DUPLICATE, 200)
    assert codes([changed, elsewhere]) == ["EVENT_ID_PAYLOAD_MISMATCH"] * 2
    assert (await house.view(job_id))["actual_cost_usd"] == "1.000000"
    assert len(await rows(database, select(callback_events))) == 1


async def test_a_superseded_worker_changes_nothing(database: Database) -> None:
    house = House(database)
    job_id = await house.drafted()
    await house.give("job.approve", {"job_id": job_id})
    await house.give("job.render", {"job_id": job_id})

    stale = await house.report(job_id, 4, "FAILED", attempt=1)
    current = await house.report(job_id, 1, "RENDERING", attempt=2, progress=50)

    assert codes([stale, current]) == ["STALE_ATTEMPT", 204]
    assert (await house.view(job_id))["status"] == "RENDERING"


async def test_refused_callbacks_are_dead_letters_and_leave_no_trace_in_the_job(database: Database) -> None:
    house = House(database)
    job_id = await house.running()
    before = await house.view(job_id)

    outcomes = await house.decide_batch(
        [
            house.delivery(job_id, report(1, "READY")),
            house.delivery(job_id, report(1, "DONE")),
            house.delivery("unknown", report(1, "TRANSCRIBING")),
            house.delivery(job_id, {**report(1, "TRANSCRIBING"), "job_id": "another"}),
        ]
    )

    refusals = ["INVALID_TRANSITION", "INVALID_TRANSITION", "RESOURCE_NOT_FOUND", "VALIDATION_ERROR"]
    assert codes(outcomes) == refusals
    assert [row["code"] for row in await letters(database)] == refusals
    assert await house.view(job_id) == before


async def test_what_came_too_early_is_held_while_older_messages_are_out(database: Database) -> None:
    house = House(database, now=NOW + SECOND)
    job_id = await house.running()
    early = house.delivery(job_id, report(2, "DRAFTING"), stored_at=NOW)

    (held,) = await house.decide_batch([early], older_outstanding=True)
    assert held.verdict is Verdict.HELD
    assert held.hold_s == pytest.approx(0.5)
    assert await letters(database) == []

    first = house.delivery(job_id, report(1, "TRANSCRIBING"), stored_at=NOW)
    assert codes(await house.decide_batch([first, early], older_outstanding=True)) == [204, 204]
    assert (await house.view(job_id))["status"] == "DRAFTING"


async def test_what_waited_long_enough_is_decided_as_it_stands(database: Database) -> None:
    house = House(database, now=NOW + 61 * SECOND)
    job_id = await house.running()

    outcomes = await house.decide_batch(
        [house.delivery(job_id, report(2, "DRAFTING"), stored_at=NOW)], older_outstanding=True
    )

    assert codes(outcomes) == ["INVALID_TRANSITION"]


async def test_artifacts_come_in_parts_and_replace_what_they_repeat(database: Database) -> None:
    house = House(database)
    job_id = await house.running()
    mended = [
        {"start_ms": 900, "end_ms": 1_500, "text": "Two, again."},
        {"start_ms": 1_500, "end_ms": 1_800, "text": "!"},
    ]
    scene = {"scene": 2, "text": "A hall", "duration_s": 3.5, "image_url": "https://pictures.example/2"}

    outcomes = await house.decide_batch(
        [
            house.delivery(job_id, report(1, "TRANSCRIBING", artifacts={"transcript": SEGMENTS[:2]})),
            house.delivery(job_id, report(2, "TRANSCRIBING", artifacts={"transcript": SEGMENTS[2:]})),
            house.delivery(job_id, report(3, "DRAFTING", artifacts={"storyboard": SCENES})),
        ]
    )
    outcomes = [
        *outcomes,
        await house.report(job_id, 4, "DRAFTING", artifacts={"transcript": mended, "storyboard": [scene]}),
    ]

    assert codes(outcomes) == [204] * 4
    transcript = result(await house.ask("job.transcript", {"job_id": job_id}))["items"]
    assert [(each["segment"], each["text"]) for each in transcript] == [
        (1, "One."),
        (2, "Two, again."),
        (3, "!"),
        (4, "Three."),
    ]
    assert result(await house.ask("job.storyboard", {"job_id": job_id})) == {
        "items": [SCENES[0], scene],
        "next_cursor": None,
    }


async def test_each_draft_is_a_version_but_not_one_that_says_the_same(database: Database) -> None:
    house = House(database)
    job_id = await house.drafted()
    same = {"instruction": {"blocks": BLOCKS}}
    other = {"instruction": {"blocks": [*BLOCKS, {"block_id": "b3", "type": "note", "text": "Mind the step"}]}}
    await house.give("job.approve", {"job_id": job_id})

    await house.report(job_id, 4, "AWAITING_APPROVAL", artifacts=same)
    assert (await house.view(job_id))["approved"] is True
    outcomes = await house.decide_batch(
        [house.delivery(job_id, report(at, "AWAITING_APPROVAL", artifacts=other)) for at in (5, 6)]
    )

    assert codes(outcomes) == [204, 204]
    assert (await house.view(job_id))["approved"] is False
    assert code(await house.give("job.render", {"job_id": job_id})) is ErrorCode.APPROVAL_REQUIRED
    versions = await rows(database, select(instruction_versions).order_by(instruction_versions.c.version))
    assert [(row["version"], row["validation_status"]) for row in versions] == [(1, "VALID"), (2, "VALID")]


async def test_costs_add_up_and_every_sign_of_life_moves_the_deadline_on(database: Database) -> None:
    house = House(database)
    job_id = await house.running()
    (before,) = await rows(database, select(work.c.deadline_at))
    house.now += 60 * SECOND

    for sequence in (1, 2):
        await house.report(job_id, sequence, "TRANSCRIBING", cost_usd="0.125")

    (after,) = await rows(database, select(work.c.deadline_at))
    assert after["deadline_at"] == before["deadline_at"] + 60 * SECOND
    assert (await house.view(job_id))["actual_cost_usd"] == "0.250000"


async def test_a_failing_batch_leaves_nothing_behind(database: Database) -> None:
    house = House(database)
    job_id = await house.running()
    batch = [house.delivery(job_id, report(1, "TRANSCRIBING", artifacts={"transcript": SEGMENTS}, cost_usd="1"))]

    class Interrupted(Exception):
        pass

    def interrupted(uow: UnitOfWork) -> None:
        decide_batch(batch, uow, house.context(), FAMILIES)
        raise Interrupted

    with pytest.raises(Interrupted):
        await database.write(interrupted)

    assert await rows(database, select(callback_events)) == []
    assert (await house.view(job_id))["status"] == "QUEUED"
    assert codes(await house.decide_batch(batch)) == [204]


@pytest.mark.parametrize("how_many", [2, 30])
async def test_a_batch_of_callbacks_is_written_in_sets(database: Database, how_many: int) -> None:
    house = House(database)
    project_id = await house.project()
    ids = [await house.running(project_id=project_id) for _ in range(how_many)]
    made = {"transcript": SEGMENTS, "storyboard": SCENES, "instruction": {"blocks": BLOCKS}}
    batch = [house.delivery(job_id, report(1, "TRANSCRIBING", artifacts=made)) for job_id in ids]

    def count(uow: UnitOfWork) -> int:
        with statements.recorded(uow) as seen:
            decide_batch(batch, uow, house.context(), FAMILIES)
        return len([statement for statement, _ in seen if not statement.startswith(("SAVEPOINT", "RELEASE"))])

    assert await database.write(count) == 13
    moved = select(jobs.c.job_id).where(jobs.c.status == "TRANSCRIBING", jobs.c.instruction_version == 1)
    assert len(await rows(database, moved)) == how_many
    assert len(await rows(database, select(job_events.c.job_id))) == 3 * how_many
