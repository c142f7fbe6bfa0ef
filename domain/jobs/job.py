"""What a job is, and how a change of one is told: the new value together with everything that follows from it.

A decision is a value. Nobody writes while deciding; the caller stores the job, its audit events, the outgoing events
and the dispatch in one transaction, or none of them.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from contracts.errors import ErrorCode, JsonValue, Problem, problem
from contracts.values.states import JobState
from contracts.values.work import WorkType
from domain.jobs.job_states import TERMINAL, Signal, next_state
from domain.work.work import By, Dispatch, Failure, Fence, Start, WorkInHand, handed_out

WORK_OF_STATE: Final[Mapping[JobState, WorkType]] = MappingProxyType(
    {
        JobState.QUEUED: WorkType.JOB_PROCESS,
        JobState.TRANSCRIBING: WorkType.JOB_PROCESS,
        JobState.DRAFTING: WorkType.JOB_PROCESS,
        JobState.RENDERING: WorkType.JOB_RENDER,
    }
)
"""What a worker is doing for a job in a state; in all others nobody is at work and no deadline runs."""


class JobEventName(StrEnum):
    """The last part of ``event.job.<job_id>.<name>``."""

    CREATED = "created"
    TRANSITIONED = "transitioned"
    APPROVED = "approved"
    CANCELLED = "cancelled"


class Approval(Struct, frozen=True):
    """Who approved which version of the instruction, and when."""

    by: str
    at: int
    version: int
    note: str | None = None


class Job(Struct, frozen=True):
    """A job as it stands. Times are microseconds since the epoch, money is micro-dollars.

    ``attempt`` counts the chain of retries; ``dispatch_attempt`` counts the work messages that went out for this job
    and ``last_sequence`` is the last accepted report on the newest of them. ``instruction_version`` is the newest
    version of the instruction, 0 where there is none.
    """

    job_id: str
    project_id: str
    owner: str
    title: str
    status: JobState
    version: int
    created_at: int
    updated_at: int
    objective: str | None = None
    script_id: str | None = None
    prompt: str | None = None
    video_uri: str | None = None
    video_url: str | None = None
    progress: float = 0
    checkpoint: JsonValue = None
    estimated_cost_usd_micros: int | None = None
    actual_cost_usd_micros: int = 0
    error: Failure | None = None
    retry_of: str | None = None
    attempt: int = 1
    instruction_id: str | None = None
    instruction_version: int = 0
    approval: Approval | None = None
    work: WorkInHand | None = None
    dispatch_attempt: int = 0
    last_sequence: int = 0

    @property
    def approved(self) -> bool:
        """Whether the newest version of the instruction is the approved one."""
        return self.approval is not None and self.approval.version == self.instruction_version

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def has_input(self) -> bool:
        """Whether there is anything to work on."""
        return self.video_uri is not None or self.script_id is not None or self.prompt is not None

    @property
    def fence(self) -> Fence:
        return Fence(self.dispatch_attempt, self.last_sequence)


class AuditEvent(Struct, frozen=True):
    """Who did what when, and where it led: to the same state where it was an approval. ``version`` is the job's after
    it."""

    job_id: str
    version: int
    actor: str
    what: str
    at: int
    from_state: JobState
    to_state: JobState
    details: Mapping[str, JsonValue] = field(default_factory=dict)


class JobEvent(Struct, frozen=True):
    """What listeners are told. ``version`` orders a job's events; ``work_id`` and ``attempt`` name cancelled work,
    ``approval`` is what was approved."""

    name: JobEventName
    job_id: str
    version: int
    actor: str
    what: str
    at: int
    from_state: JobState | None
    to_state: JobState
    work_id: str | None = None
    attempt: int | None = None
    approval: Approval | None = None


class Decision(Struct, frozen=True):
    """A job after a decision, and what is to be written and sent with it.

    ``changed`` is false where the request was met before: nothing is to be stored. ``withdraw`` is the work whose
    waiting message is to be taken out of the queue; ``copy_of`` the job whose transcript, storyboard and instruction
    the new one starts with.
    """

    job: Job
    status: int = 200
    changed: bool = False
    audit: tuple[AuditEvent, ...] = ()
    events: tuple[JobEvent, ...] = ()
    dispatch: Dispatch | None = None
    withdraw: str | None = None
    copy_of: str | None = None


def unchanged(job: Job, status: int = 200) -> Decision:
    """The answer to a request that was met before."""
    return Decision(job, status)


def created(job: Job, by: By) -> Decision:
    """A new job: told as ``created``, which is no transition."""
    event = JobEvent(JobEventName.CREATED, job.job_id, job.version, by.actor, "created", by.at, None, job.status)
    return Decision(job, 201, changed=True, events=(event,))


def touched(decision: Decision, by: By) -> Decision:
    """A change that is no transition: one version on."""
    job = replace(decision.job, version=decision.job.version + 1, updated_at=by.at)
    return replace(decision, job=job, changed=True)


def moved(
    decision: Decision,
    signal: Signal,
    by: By,
    details: Mapping[str, JsonValue] = MappingProxyType({}),
) -> Decision:
    """One transition, audited and published once; work that the new state does not need is no longer in hand.

    Raises ``ValueError`` where the table has no such row: callers ask :func:`allowed` first.
    """
    before = decision.job
    target = next_state(before.status, signal)
    if target is None:
        raise ValueError(f"{signal} does not move a job that is {before.status}")
    work = before.work if before.work is not None and WORK_OF_STATE.get(target) is before.work.type else None
    version = before.version + 1
    told = (version, by.actor, str(signal), by.at, before.status, target)
    return replace(
        decision,
        # In one go: making a job anew is most of what a decision costs.
        job=replace(before, status=target, work=work, version=version, updated_at=by.at),
        changed=True,
        audit=(*decision.audit, AuditEvent(before.job_id, *told, details)),
        events=(*decision.events, JobEvent(JobEventName.TRANSITIONED, before.job_id, *told)),
    )


def dispatched(decision: Decision, work: WorkInHand, deadline_s: float, by: By) -> Decision:
    """The work goes out under the next attempt, whose reports are counted from one. Part of the change just decided."""
    return _handed_out(decision, work, decision.job.progress, deadline_s, by)


def started(decision: Decision, start: Start, by: By) -> Decision:
    """The work that the job's new state calls for is handed out for the first time."""
    work = WorkInHand(start.work_id, WORK_OF_STATE[decision.job.status], by.at)
    return _handed_out(decision, work, 0, start.deadline_s, by)


def _handed_out(decision: Decision, work: WorkInHand, progress: float, deadline_s: float, by: By) -> Decision:
    given = handed_out(work, decision.job.dispatch_attempt, deadline_s, by)
    job = replace(decision.job, work=given.work, dispatch_attempt=given.attempt, last_sequence=0, progress=progress)
    return replace(decision, job=job, dispatch=given.dispatch)


def allowed(job: Job, signal: Signal) -> bool:
    return next_state(job.status, signal) is not None


def forbidden_move(job: Job, what: str) -> Problem:
    """The refusal of something that the job's state does not allow."""
    return problem(ErrorCode.INVALID_TRANSITION, f"{what} is not allowed while the job is {job.status}")
