"""The life of a task: work on a document or a video, asked for once, and again where it failed."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem, problem
from contracts.values.principals import SYSTEM
from contracts.values.states import TaskState
from contracts.values.work import WorkType
from domain.jobs.job_callbacks import FailureFacts
from domain.work.work import (
    GAVE_UP,
    UNEXPLAINED,
    Arrival,
    By,
    Dispatch,
    Failure,
    Fence,
    Held,
    Overdue,
    Start,
    WorkInHand,
    fenced_out,
    handed_out,
    judge_deadline,
    kept_alive,
    once_more,
    skips,
)


class TaskSignal(StrEnum):
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ASKED_AGAIN = "asked_again"


TRANSITIONS: Final[Mapping[tuple[TaskState, TaskSignal], TaskState]] = MappingProxyType(
    {
        (TaskState.REQUESTED, TaskSignal.STARTED): TaskState.RUNNING,
        (TaskState.REQUESTED, TaskSignal.SUCCEEDED): TaskState.SUCCEEDED,
        (TaskState.REQUESTED, TaskSignal.FAILED): TaskState.FAILED,
        (TaskState.RUNNING, TaskSignal.SUCCEEDED): TaskState.SUCCEEDED,
        (TaskState.RUNNING, TaskSignal.FAILED): TaskState.FAILED,
        (TaskState.FAILED, TaskSignal.ASKED_AGAIN): TaskState.REQUESTED,
    }
)
_SIGNAL_OF_REPORT: Final[Mapping[TaskState, TaskSignal]] = MappingProxyType(
    {
        TaskState.RUNNING: TaskSignal.STARTED,
        TaskState.SUCCEEDED: TaskSignal.SUCCEEDED,
        TaskState.FAILED: TaskSignal.FAILED,
    }
)
_AT_WORK: Final = frozenset({TaskState.REQUESTED, TaskState.RUNNING})


class Task(Struct, frozen=True):
    """A task as it stands. ``attempt`` counts the work messages that went out for it."""

    task_id: str
    type: WorkType
    owner: str
    status: TaskState
    version: int
    created_at: int
    updated_at: int
    attempt: int = 0
    last_sequence: int = 0
    work: WorkInHand | None = None
    error: Failure | None = None

    @property
    def fence(self) -> Fence:
        return Fence(self.attempt, self.last_sequence)


class TaskReport(Protocol):
    """A proven ``task.status``."""

    @property
    def attempt(self) -> int | None: ...
    @property
    def sequence(self) -> int: ...
    @property
    def status(self) -> TaskState: ...
    @property
    def failure(self) -> FailureFacts | None: ...


class TaskDecision(Struct, frozen=True):
    """A task after a decision; ``changed`` is false where there is nothing to store."""

    task: Task
    status: int = 200
    changed: bool = True
    dispatch: Dispatch | None = None
    withdraw: str | None = None


TaskRuling: TypeAlias = TaskDecision | Held | Problem


def request(task_id: str, work_type: WorkType, owner: str, start: Start, by: By) -> TaskDecision:
    """A new task, handed out at once."""
    task = Task(task_id, work_type, owner, TaskState.REQUESTED, 0, by.at, by.at)
    return _handed_out(task, WorkInHand(start.work_id, work_type, by.at), start.deadline_s, by)


def request_again(task: Task, start: Start, by: By) -> TaskDecision:
    """The same is asked for again: only a failed task runs again."""
    target = TRANSITIONS.get((task.status, TaskSignal.ASKED_AGAIN))
    if target is None:
        return TaskDecision(task, changed=False)
    renewed = replace(task, status=target, error=None)
    return _handed_out(renewed, WorkInHand(start.work_id, task.type, by.at), start.deadline_s, by)


def decide_task(task: Task, report: TaskReport, arrival: Arrival, deadline_s: float, by: By) -> TaskRuling:
    """Judge one report whose event is not known yet. What a success brought is the caller's to prove beforehand."""
    if (refused := fenced_out(task.fence, attempt=report.attempt, sequence=report.sequence)) is not None:
        return refused
    target = _target(task, report.status)
    could_help = task.status in _AT_WORK and report.status in _SIGNAL_OF_REPORT
    overtook = target is None or skips(task.fence, report.sequence)
    if overtook and could_help and (held := arrival.hold()) is not None:
        return held
    if target is None:
        return problem(
            ErrorCode.INVALID_TRANSITION, f"a task that is {task.status} cannot be reported as {report.status}"
        )
    reported = replace(
        task,
        status=target,
        last_sequence=report.sequence,
        work=kept_alive(task.work, by.in_seconds(deadline_s)) if target in _AT_WORK else None,
        error=_failure(report.failure) if target is TaskState.FAILED else None,
    )
    return TaskDecision(_touched(reported, by), 204)


def unproven(task: Task, reported: Task, deadline_s: float, by: By) -> TaskDecision:
    """A success whose pictures are still to be looked at: the task runs on, and the worker's report counts."""
    work = kept_alive(task.work, by.in_seconds(deadline_s))
    return TaskDecision(replace(reported, status=TaskState.RUNNING, work=work), 204)


def proven(task: Task, by: By) -> TaskDecision:
    """What an unproven success brought is as it was reported."""
    return TaskDecision(_touched(replace(task, status=TaskState.SUCCEEDED, work=None, error=None), by))


def failed(task: Task, failure: Failure, by: By) -> TaskDecision:
    """A task whose success does not stand: what it brought was refused."""
    return TaskDecision(_touched(replace(task, status=TaskState.FAILED, work=None, error=failure), by))


def overdue(task: Task, *, at: int, deadline_s: float, max_attempts: int) -> TaskDecision:
    """Hand work past its deadline out again under a new attempt, or give the task up."""
    work, ruling = task.work, judge_deadline(task.work, at=at, max_attempts=max_attempts)
    if work is None or ruling is Overdue.NOT_YET:
        return TaskDecision(task, changed=False)
    by = By(SYSTEM, at)
    if ruling is Overdue.GIVE_UP:
        return given_up(task, GAVE_UP, by)
    return replace(_handed_out(task, once_more(work), deadline_s, by), withdraw=work.work_id)


def given_up(task: Task, why: Failure, by: By) -> TaskDecision:
    """Nobody will do the work of the task: it has failed for *why*. What may lie in the queue is to be withdrawn."""
    if task.work is None:
        return TaskDecision(task, changed=False)
    return replace(failed(task, why, by), withdraw=task.work.work_id)


def _target(task: Task, reported: TaskState) -> TaskState | None:
    if reported is TaskState.RUNNING and task.status is TaskState.RUNNING:
        return TaskState.RUNNING
    signal = _SIGNAL_OF_REPORT.get(reported)
    return None if signal is None else TRANSITIONS.get((task.status, signal))


def _handed_out(task: Task, work: WorkInHand, deadline_s: float, by: By) -> TaskDecision:
    given = handed_out(work, task.attempt, deadline_s, by)
    out = replace(task, attempt=given.attempt, last_sequence=0, work=given.work)
    return TaskDecision(_touched(out, by), 202, dispatch=given.dispatch)


def _touched(task: Task, by: By) -> Task:
    return replace(task, version=task.version + 1, updated_at=by.at)


def _failure(told: FailureFacts | None) -> Failure:
    return UNEXPLAINED if told is None else Failure(told.code, told.message, told.retryable)
