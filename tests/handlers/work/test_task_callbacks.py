"""``task.status``: each report against its task, its attempt and its sequence; success only where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from contracts.errors import ErrorCode
from contracts.payloads.callbacks import TaskStatus
from contracts.subjects import Family
from contracts.values.work import WorkType
from domain.work import tasks as rules
from domain.work.work import By, Failure, Start
from handlers.batch import decide_batch
from handlers.effects import Context, Effects, MessageOutcome, Verdict
from handlers.registry import FAMILIES
from handlers.work.tasks import Finished, TaskReports, TaskWriter
from storage.engine.database import Database
from storage.tables.work import work
from storage.unit_of_work import UnitOfWork
from storage.work.tasks import TaskRecord
from tests.contracts.samples import TRACE, envelope
from tests.handlers.deciding import letters, rows
from tests.handlers.jobs.owners import House, Json, code, result

REFUSED = Failure("VERSION_CONFLICT", "the document moved on", retryable=False)


class Finishing:
    """A finisher that takes what does not ask to be refused."""

    def __init__(self, records: Sequence[TaskRecord], uow: UnitOfWork, context: Context) -> None:  # noqa: ARG002 - the shape of a finisher
        self.records = records

    def finish(self, record: TaskRecord, report: TaskStatus, by: By) -> Finished | Failure:  # noqa: ARG002 - the shape of a finisher
        return REFUSED if report.model == "refuse me" else Finished({"by": report.model}, {"task": record.task.task_id})

    def write(self, effects: Effects) -> None:
        """Nothing is kept."""


@dataclass
class Tasks:
    """Tasks of an owner and their workers' reports."""

    house: House

    async def requested(self, task_id: str = "task-1") -> str:
        def write(uow: UnitOfWork) -> None:
            context = self.house.context()
            decision = rules.request(
                task_id, WorkType.SCREENSHOT_EXTRACT, "ada", Start(f"work-{task_id}", 600), By("ada", context.now)
            )
            writer = TaskWriter(uow, context)
            record = TaskRecord(decision.task, "job-1", {"width": 640}, TRACE, f"key of {task_id}")
            writer.take(None, record, decision, {"format": "png"})
            uow.outbox.add(writer.write(), owner=context.daemon_id, now=context.now)

        await self.house.database.write(write)
        return task_id

    async def report(self, *reports: tuple[str, Json], older_outstanding: bool = False) -> Sequence[MessageOutcome]:
        families = {**FAMILIES, "task.status": TaskReports({WorkType.SCREENSHOT_EXTRACT: Finishing})}
        batch = [
            self.house.judged(
                f"callback.task.{task_id}", envelope(said, "task.status", "1.0", message_id=said["event_id"])
            )
            for task_id, said in reports
        ]
        context = replace(self.house.context(), older_outstanding=older_outstanding)
        return (await self.house.database.write(lambda uow: decide_batch(batch, uow, context, families))).outcomes

    async def view(self, task_id: str = "task-1") -> Json:
        return result(await self.house.ask("task.get", {"task_id": task_id}))


def said(sequence: int, status: str, **more: Json) -> Json:
    return {"event_id": f"e-{sequence}-{status}", "sequence": sequence, "status": status, **more}


@pytest.fixture
def tasks(database: Database) -> Tasks:
    return Tasks(House(database))


def codes(outcomes: Sequence[MessageOutcome]) -> list[object]:
    return [outcome.status if outcome.error is None else outcome.error["code"] for outcome in outcomes]


async def test_a_task_runs_and_succeeds_with_what_its_finisher_keeps(tasks: Tasks) -> None:
    task_id = await tasks.requested()

    outcomes = await tasks.report(
        (task_id, said(1, "RUNNING")), (task_id, said(2, "RUNNING")), (task_id, said(3, "SUCCEEDED", model="m-1"))
    )

    assert codes(outcomes) == [204, 204, 204]
    view = await tasks.view()
    assert (view["status"], view["result"], view["provenance"]) == ("SUCCEEDED", {"by": "m-1"}, {"task": task_id})
    assert (view["attempt"], view["version"]) == (1, 4)
    (row,) = await rows(tasks.house.database, select(work))
    assert row["state"] == "done"
    assert [each["version"] for each in await tasks.house.told("KV_HG_STATUS")] == [1, 4]


async def test_a_success_that_does_not_stand_fails_the_task(tasks: Tasks) -> None:
    task_id = await tasks.requested()

    outcomes = await tasks.report((task_id, said(1, "SUCCEEDED", model="refuse me")))

    assert codes(outcomes) == [204]
    view = await tasks.view()
    assert (view["status"], view["error"]["code"]) == ("FAILED", "VERSION_CONFLICT")
    (row,) = await rows(tasks.house.database, select(work))
    assert row["state"] == "failed"


async def test_known_superseded_and_impossible_reports_change_nothing(tasks: Tasks) -> None:
    task_id, other = await tasks.requested(), await tasks.requested("task-2")
    first = said(1, "RUNNING")
    await tasks.report((task_id, first))

    outcomes = await tasks.report(
        (task_id, first),
        (other, first),
        (task_id, said(1, "FAILED")),
        (task_id, said(2, "FAILED", attempt=7)),
        ("nobody", said(9, "RUNNING")),
    )

    assert outcomes[0].verdict is Verdict.DUPLICATE
    refused = ["EVENT_ID_PAYLOAD_MISMATCH", "CALLBACK_OUT_OF_ORDER", "STALE_ATTEMPT", "RESOURCE_NOT_FOUND"]
    assert codes(outcomes[1:]) == refused
    assert len(await letters(tasks.house.database)) == 4
    assert (await tasks.view())["status"] == "RUNNING"


async def test_reports_that_came_early_wait_for_those_before_them(tasks: Tasks) -> None:
    task_id = await tasks.requested()

    early, same = await tasks.report(
        (task_id, said(3, "SUCCEEDED")), (task_id, said(4, "RUNNING")), older_outstanding=True
    )

    assert (early.verdict, same.verdict) == (Verdict.HELD, Verdict.HELD)
    assert (await tasks.view())["status"] == "REQUESTED"


async def test_a_task_is_its_owner_s_alone(tasks: Tasks) -> None:
    await tasks.requested()

    assert code(await tasks.house.ask("task.get", {"task_id": "task-1"}, owner="bob")) is ErrorCode.RESOURCE_NOT_FOUND
    assert code(await tasks.house.ask("task.get", {"task_id": "nobody"})) is ErrorCode.RESOURCE_NOT_FOUND


async def test_what_the_worker_is_told_names_the_task(tasks: Tasks) -> None:
    await tasks.requested()

    (order,) = [each["payload"] for each in await tasks.house.told("HG_WORK")]

    assert (order["task_id"], order["attempt"], order["format"]) == ("task-1", 1, "png")
    assert order["callback_subject"] == f"hg.{Family.CALLBACK}.task.task-1"
