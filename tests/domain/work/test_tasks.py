"""The life of a task: reports, fences, deadlines, and being asked for again."""

from dataclasses import dataclass
from itertools import product

import pytest
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem
from contracts.payloads.callbacks import TaskStatus
from contracts.values.states import TaskState
from contracts.values.work import WorkType
from domain.work import tasks
from domain.work.tasks import Task, TaskDecision, TaskRuling
from domain.work.work import Arrival, Failure, Held, WorkInHand
from tests.domain.jobs.job_factory import MAYBE_EARLY, NOW, ON_TIME, OWNER, SECOND, START, WORKER, AFailure

SCREENSHOTS = WorkType.SCREENSHOT_EXTRACT
ALLOWED = {
    ("REQUESTED", "RUNNING"),
    ("REQUESTED", "SUCCEEDED"),
    ("REQUESTED", "FAILED"),
    ("RUNNING", "RUNNING"),
    ("RUNNING", "SUCCEEDED"),
    ("RUNNING", "FAILED"),
}


@dataclass(frozen=True, slots=True)
class Report:
    status: TaskState
    sequence: int = 3
    attempt: int | None = None
    failure: AFailure | None = None


def a_task(status: TaskState = TaskState.REQUESTED) -> Task:
    at_work = status in {TaskState.REQUESTED, TaskState.RUNNING}
    work = WorkInHand("work-0", SCREENSHOTS, NOW + 10 * SECOND) if at_work else None
    return Task("task-1", SCREENSHOTS, "ada", status, 4, NOW, NOW, attempt=1, last_sequence=2, work=work)


def decide(task: Task, report: Report, arrival: Arrival = ON_TIME) -> TaskRuling:
    return tasks.decide_task(task, report, arrival, 600, WORKER)


def decided(ruling: TaskRuling) -> TaskDecision:
    assert isinstance(ruling, TaskDecision), ruling
    return ruling


def test_a_requested_task_is_handed_out_at_once() -> None:
    decision = tasks.request("task-1", SCREENSHOTS, "ada", START, OWNER)
    assert (decision.status, decision.task.status, decision.task.version) == (202, TaskState.REQUESTED, 1)
    assert decision.dispatch is not None
    assert (decision.dispatch.attempt, decision.dispatch.deadline) == (1, NOW + 600 * SECOND)


@pytest.mark.parametrize(("state", "reported"), [*product(TaskState, TaskState)])
def test_only_allowed_reports_change_a_task(state: TaskState, reported: TaskState) -> None:
    ruling = decide(a_task(state), Report(reported))
    if (state, reported) not in ALLOWED:
        assert isinstance(ruling, Problem)
        assert ruling.code is ErrorCode.INVALID_TRANSITION
        return
    after = decided(ruling).task
    assert (after.status, after.version, after.last_sequence) == (reported, 5, 3)
    assert (after.work is not None) == (reported is TaskState.RUNNING)


def test_reports_of_another_attempt_or_an_old_sequence_are_fenced_out() -> None:
    stale = decide(a_task(), Report(TaskState.RUNNING, attempt=2))
    old = decide(a_task(), Report(TaskState.RUNNING, sequence=2, attempt=1))
    assert isinstance(stale, Problem)
    assert isinstance(old, Problem)
    assert (stale.code, old.code) == (ErrorCode.STALE_ATTEMPT, ErrorCode.CALLBACK_OUT_OF_ORDER)


def test_a_gap_waits_while_it_may_close() -> None:
    assert isinstance(decide(a_task(), Report(TaskState.SUCCEEDED, sequence=5), MAYBE_EARLY), Held)
    assert decided(decide(a_task(), Report(TaskState.SUCCEEDED, sequence=5))).task.status is TaskState.SUCCEEDED
    ended = decide(a_task(TaskState.SUCCEEDED), Report(TaskState.RUNNING, sequence=5), MAYBE_EARLY)
    assert isinstance(ended, Problem)


def test_a_report_moves_the_deadline_on() -> None:
    work = decided(decide(a_task(), Report(TaskState.RUNNING))).task.work
    assert work is not None
    assert work.deadline == NOW + 600 * SECOND


def test_a_failed_task_says_why_and_runs_again_when_asked() -> None:
    failure = AFailure("NO_VIDEO", "gone", retryable=False)
    failed = decided(decide(a_task(), Report(TaskState.FAILED, failure=failure))).task
    assert failed.error == Failure("NO_VIDEO", "gone", retryable=False)
    again = tasks.request_again(failed, START, OWNER)
    assert (again.task.status, again.task.error, again.task.fence) == (TaskState.REQUESTED, None, (2, 0))
    assert again.dispatch is not None


@pytest.mark.parametrize("state", [TaskState.REQUESTED, TaskState.RUNNING, TaskState.SUCCEEDED])
def test_what_has_not_failed_is_not_run_again(state: TaskState) -> None:
    assert tasks.request_again(a_task(state), START, OWNER) == TaskDecision(a_task(state), changed=False)


def test_work_past_its_deadline_goes_out_again_and_is_given_up_in_the_end() -> None:
    at = NOW + 20 * SECOND
    again = tasks.overdue(a_task(TaskState.RUNNING), at=at, deadline_s=600, max_attempts=1)
    assert (again.withdraw, again.task.fence) == ("work-0", (2, 0))
    assert again.dispatch is not None
    ended = tasks.overdue(again.task, at=at + 600 * SECOND, deadline_s=600, max_attempts=1)
    assert (ended.task.status, ended.task.work, ended.dispatch) == (TaskState.FAILED, None, None)
    assert not tasks.overdue(a_task(), at=NOW, deadline_s=600, max_attempts=1).changed


def test_the_payload_of_the_wire_is_a_report() -> None:
    told = TaskStatus.model_validate({"event_id": "e1", "sequence": 3, "status": "SUCCEEDED"})
    ruling = tasks.decide_task(replace(a_task()), told, ON_TIME, 600, WORKER)
    assert decided(ruling).task.status is TaskState.SUCCEEDED
