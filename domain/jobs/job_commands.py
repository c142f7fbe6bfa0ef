"""What an owner may ask of a job, command by command. What was met before is answered 200 and changes nothing."""

from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, JsonObject, Problem, problem
from contracts.values.principals import SYSTEM
from contracts.values.states import JobState
from domain.documents.instructions import version_conflict
from domain.jobs.job import (
    Approval,
    AuditEvent,
    Decision,
    Job,
    JobEvent,
    JobEventName,
    allowed,
    created,
    dispatched,
    forbidden_move,
    moved,
    started,
    touched,
    unchanged,
)
from domain.jobs.job_states import TERMINAL, Signal
from domain.work.work import GAVE_UP, By, Failure, Overdue, Start, judge_deadline, once_more

Ruling: TypeAlias = Decision | Problem
_ACCEPTED: Final = 202
_APPROVED: Final = "approved"

APPROVABLE: Final = frozenset({JobState.AWAITING_APPROVAL, JobState.READY})
"""Where a version may be approved: before the first rendering, and before rendering again what was edited since."""
_RUN_BEFORE: Final = frozenset(JobState) - TERMINAL - {JobState.CREATED, JobState.UPLOADED}
_BEFORE_DRAFTING: Final = frozenset({JobState.CREATED, JobState.UPLOADED, JobState.QUEUED, JobState.TRANSCRIBING})


class NewJob(Struct, frozen=True):
    """What ``job.create`` gives. At most one of ``script_id`` and ``prompt``."""

    job_id: str
    project_id: str
    owner: str
    title: str
    objective: str | None = None
    script_id: str | None = None
    prompt: str | None = None
    estimated_cost_usd_micros: int | None = None


def create(new: NewJob, by: By) -> Decision:
    """``CREATED``; a job from a script or a prompt has nothing to upload and passes to ``UPLOADED`` at once."""
    job = Job(
        job_id=new.job_id,
        project_id=new.project_id,
        owner=new.owner,
        title=new.title,
        status=JobState.CREATED,
        version=1,
        created_at=by.at,
        updated_at=by.at,
        objective=new.objective,
        script_id=new.script_id,
        prompt=new.prompt,
        estimated_cost_usd_micros=new.estimated_cost_usd_micros,
    )
    decision = created(job, by)
    return moved(decision, Signal.UPLOAD_CONFIRMED, by) if job.has_input else decision


def confirm_upload(job: Job, video_uri: str, by: By) -> Ruling:
    """The video is there. The same again is met; another one is a conflict, in whatever state."""
    if job.video_uri is not None:
        return unchanged(job) if job.video_uri == video_uri else UPLOAD_CONFLICT
    if not allowed(job, Signal.UPLOAD_CONFIRMED):
        return forbidden_move(job, "job.confirm-upload")
    return moved(unchanged(replace(job, video_uri=video_uri)), Signal.UPLOAD_CONFIRMED, by)


def run(job: Job, start: Start, by: By) -> Ruling:
    """Hand the job to a worker; met as long as a job that runs has not ended."""
    if job.status in _RUN_BEFORE:
        return unchanged(job)
    if not allowed(job, Signal.RUN_REQUESTED):
        return forbidden_move(job, "job.run")
    return started(moved(unchanged(job, _ACCEPTED), Signal.RUN_REQUESTED, by), start, by)


def approve(job: Job, *, version: int | None = None, note: str | None, instruction_valid: bool, by: By) -> Ruling:
    """Approve the newest version of the instruction; it is met while that version stays the newest.

    ``version`` is what was read: where another one is the newest, nobody approves it unread.
    """
    if job.status not in APPROVABLE:
        return forbidden_move(job, "job.approve")
    if version is not None and job.instruction_version and version != job.instruction_version:
        return version_conflict(job.instruction_version)
    if job.approved:
        return unchanged(job)
    if job.instruction_version == 0 or not instruction_valid:
        return NOT_APPROVABLE
    approval = Approval(by.actor, by.at, job.instruction_version, note)
    return _approved(touched(unchanged(replace(job, approval=approval)), by), approval, by)


def _approved(decision: Decision, approval: Approval, by: By) -> Decision:
    """An approval is told and kept in the history, like a transition, although the state stays."""
    job = decision.job
    what = (job.version, by.actor, _APPROVED, by.at, job.status, job.status)
    details: JsonObject = {"instruction_version": approval.version}
    if approval.note is not None:
        details["note"] = approval.note
    return replace(
        decision,
        audit=(*decision.audit, AuditEvent(job.job_id, *what, details)),
        events=(*decision.events, JobEvent(JobEventName.APPROVED, job.job_id, *what, approval=approval)),
    )


def render(job: Job, start: Start, by: By) -> Ruling:
    """Render the approved version. The audit event keeps whose approval it stands on."""
    if not allowed(job, Signal.RENDER_REQUESTED):
        return forbidden_move(job, "job.render")
    if job.approval is None or not job.approved:
        return APPROVAL_REQUIRED
    details: JsonObject = {"instruction_version": job.approval.version, "approved_by": job.approval.by}
    rendering = moved(unchanged(job, _ACCEPTED), Signal.RENDER_REQUESTED, by, details)
    return started(rendering, start, by)


def cancel(job: Job, by: By) -> Ruling:
    """End the job, tell its worker, and take the work that waits out of the queue."""
    if job.status is JobState.CANCELLED:
        return unchanged(job)
    if not allowed(job, Signal.CANCEL_REQUESTED):
        return forbidden_move(job, "job.cancel")
    decision = moved(unchanged(job), Signal.CANCEL_REQUESTED, by)
    work_id = None if job.work is None else job.work.work_id
    told = JobEvent(
        JobEventName.CANCELLED,
        job.job_id,
        decision.job.version,
        by.actor,
        str(Signal.CANCEL_REQUESTED),
        by.at,
        job.status,
        decision.job.status,
        work_id,
        job.dispatch_attempt or None,
    )
    return replace(decision, events=(*decision.events, told), withdraw=work_id)


class RetryIds(Struct, frozen=True):
    """The ids of what a retry makes: the new job and its copy of the instruction."""

    job_id: str
    instruction_id: str


def retry(job: Job, retried: Job | None, ids: RetryIds, start: Start, by: By) -> Ruling:
    """A new job that goes on from the failed one's last checkpoint; ``retried`` is the one that an earlier retry made.

    It has the upload, the transcript, the storyboard and the newest instruction (as its version 1), but neither
    approval nor cost. A job that failed before there was anything to work on is begun anew and waits for its upload.
    """
    if job.status is not JobState.FAILED:
        return forbidden_move(job, "job.retry")
    if retried is not None:
        return unchanged(retried)
    again = Job(
        job_id=ids.job_id,
        project_id=job.project_id,
        owner=job.owner,
        title=job.title,
        status=JobState.CREATED,
        version=1,
        created_at=by.at,
        updated_at=by.at,
        objective=job.objective,
        script_id=job.script_id,
        prompt=job.prompt,
        video_uri=job.video_uri,
        checkpoint=job.checkpoint,
        estimated_cost_usd_micros=job.estimated_cost_usd_micros,
        retry_of=job.job_id,
        attempt=job.attempt + 1,
        instruction_id=ids.instruction_id if job.instruction_version else None,
        instruction_version=1 if job.instruction_version else 0,
    )
    decision = replace(created(again, by), status=_ACCEPTED, copy_of=job.job_id)
    if not again.has_input:
        return decision
    queued = moved(moved(decision, Signal.UPLOAD_CONFIRMED, by), Signal.RUN_REQUESTED, by)
    return started(queued, start, by)


def export_succeeded(job: Job, by: By) -> Ruling:
    """The first finished export ends the job; later ones find it ended."""
    if job.status is JobState.DONE:
        return unchanged(job)
    if not allowed(job, Signal.EXPORT_SUCCEEDED):
        return forbidden_move(job, "an export")
    return moved(unchanged(job), Signal.EXPORT_SUCCEEDED, by)


def instruction_advanced(job: Job, version: int, by: By) -> Decision:
    """The instruction has a newer version: an approval of an older one no longer counts.

    A finished job is immutable: its instruction may go on, the job does not follow.
    """
    if job.terminal or version <= job.instruction_version:
        return unchanged(job)
    return touched(unchanged(replace(job, instruction_version=version)), by)


def overdue(job: Job, *, at: int, deadline_s: float, max_attempts: int) -> Decision:
    """What healing does with work past its deadline: hand it out again under a new attempt, or give the job up.

    ``max_attempts`` counts how often it may be handed out again. The earlier message is to be withdrawn first.
    """
    work, ruling = job.work, judge_deadline(job.work, at=at, max_attempts=max_attempts)
    if work is None or ruling is Overdue.NOT_YET:
        return unchanged(job)
    by = By(SYSTEM, at)
    if ruling is Overdue.GIVE_UP:
        return given_up(job, GAVE_UP, by)
    handed_on = dispatched(touched(unchanged(job, _ACCEPTED), by), once_more(work), deadline_s, by)
    return replace(handed_on, withdraw=work.work_id)


def given_up(job: Job, why: Failure, by: By) -> Decision:
    """Nobody will do the work of the job: it has failed for *why*. What may lie in the queue is to be withdrawn."""
    if job.work is None:
        return unchanged(job)
    gave_up = moved(unchanged(replace(job, error=why)), Signal.GAVE_UP, by, {"error": why.code})
    return replace(gave_up, withdraw=job.work.work_id)


def readable(job: Job, *, exists: bool) -> Problem | None:
    """Whether transcript and storyboard may be read: from ``DRAFTING`` on; of an ended job where there is one."""
    ended = job.status in (JobState.FAILED, JobState.CANCELLED)
    if job.status in _BEFORE_DRAFTING or (ended and not exists):
        return problem(ErrorCode.INVALID_STATE, f"there is nothing to read while the job is {job.status}")
    return None


UPLOAD_CONFLICT: Final = problem(ErrorCode.UPLOAD_CONFLICT, "another upload was confirmed for this job")
APPROVAL_REQUIRED: Final = problem(ErrorCode.APPROVAL_REQUIRED, "the newest version of the instruction is not approved")
NOT_APPROVABLE: Final = problem(ErrorCode.INVALID_STATE, "there is no valid instruction to approve")
