"""What each command does in each state: its effect, its repetition, its refusal."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem
from contracts.values.states import JobState
from contracts.values.work import WorkType
from domain.jobs import job_commands
from domain.jobs.job import Approval, Decision, Job, JobEventName
from domain.jobs.job_commands import NewJob, RetryIds
from domain.jobs.job_states import TERMINAL, Signal
from domain.work.work import By, Dispatch, Start
from tests.domain.jobs.job_factory import NOW, OWNER, SECOND, START, a_job

LATER = By("system", NOW + 20 * SECOND)
IDS = RetryIds("job-2", "instruction-2")


def decided(ruling: Decision | Problem) -> Decision:
    assert isinstance(ruling, Decision), ruling
    return ruling


def refused(ruling: Decision | Problem, code: ErrorCode) -> None:
    assert isinstance(ruling, Problem)
    assert ruling.code is code


def met(ruling: Decision | Problem, job: Job) -> None:
    """A repeated request: 200, the same job, nothing to write and nothing to send."""
    assert ruling == Decision(job, 200)


def others(*states: JobState) -> list[JobState]:
    return [state for state in JobState if state not in states]


def new_job(*, script_id: str | None = None, prompt: str | None = None) -> NewJob:
    return NewJob("job-1", "project-1", "ada", "A title", "reach", script_id, prompt, 5_000_000)


def test_a_job_is_created_once_and_told_as_created_not_as_a_transition() -> None:
    decision = job_commands.create(new_job(), OWNER)
    assert (decision.status, decision.job.status, decision.job.version) == (201, JobState.CREATED, 1)
    assert [(event.name, event.version) for event in decision.events] == [(JobEventName.CREATED, 1)]
    assert decision.audit == ()
    assert decision.dispatch is None


@pytest.mark.parametrize("new", [new_job(script_id="script-1"), new_job(prompt="a story")])
def test_a_job_with_nothing_to_upload_passes_to_uploaded_at_once(new: NewJob) -> None:
    decision = job_commands.create(new, OWNER)
    assert (decision.status, decision.job.status, decision.job.version) == (201, JobState.UPLOADED, 2)
    assert [event.name for event in decision.events] == [JobEventName.CREATED, JobEventName.TRANSITIONED]
    [audit] = decision.audit
    assert (audit.actor, audit.what, audit.at) == ("ada", Signal.UPLOAD_CONFIRMED, NOW)
    assert (audit.from_state, audit.to_state, audit.version) == (JobState.CREATED, JobState.UPLOADED, 2)


def test_an_upload_is_confirmed_once() -> None:
    decision = decided(job_commands.confirm_upload(a_job(), "s3://videos/1", OWNER))
    assert (decision.status, decision.job.status) == (200, JobState.UPLOADED)
    assert decision.job.video_uri == "s3://videos/1"
    met(job_commands.confirm_upload(decision.job, "s3://videos/1", OWNER), decision.job)
    refused(job_commands.confirm_upload(decision.job, "s3://videos/2", OWNER), ErrorCode.UPLOAD_CONFLICT)


@pytest.mark.parametrize("state", others(JobState.CREATED))
def test_the_same_upload_is_met_in_any_state_and_another_one_is_a_conflict(state: JobState) -> None:
    job = a_job(state)
    met(job_commands.confirm_upload(job, "s3://videos/1", OWNER), job)
    refused(job_commands.confirm_upload(job, "s3://videos/2", OWNER), ErrorCode.UPLOAD_CONFLICT)
    without = replace(job, video_uri=None, prompt="a story")
    refused(job_commands.confirm_upload(without, "s3://videos/1", OWNER), ErrorCode.INVALID_TRANSITION)


def test_a_run_dispatches_the_work_once() -> None:
    decision = decided(job_commands.run(a_job(JobState.UPLOADED), START, OWNER))
    assert (decision.status, decision.job.status) == (202, JobState.QUEUED)
    assert decision.dispatch == Dispatch("work-1", WorkType.JOB_PROCESS, 1, NOW + 600 * SECOND)
    assert decision.job.fence == (1, 0)
    met(job_commands.run(decision.job, Start("work-2", 600), OWNER), decision.job)


@pytest.mark.parametrize("state", others(JobState.CREATED, JobState.UPLOADED, *TERMINAL))
def test_a_run_is_met_while_the_job_has_not_ended(state: JobState) -> None:
    met(job_commands.run(a_job(state), START, OWNER), a_job(state))


@pytest.mark.parametrize("state", sorted({JobState.CREATED, *TERMINAL}))
def test_nothing_runs_before_its_upload_or_after_its_end(state: JobState) -> None:
    refused(job_commands.run(a_job(state), START, OWNER), ErrorCode.INVALID_TRANSITION)


def approve(job: Job, by: By = OWNER, *, valid: bool = True, note: str | None = None) -> Decision | Problem:
    return job_commands.approve(job, note=note, instruction_valid=valid, by=by)


def test_an_approval_records_who_when_and_which_version() -> None:
    job = a_job(JobState.AWAITING_APPROVAL)
    decision = decided(approve(job, note="fine"))
    assert decision.job.approval == Approval("ada", NOW, 1, "fine")
    assert (decision.job.approved, decision.job.version, decision.job.status) == (True, 8, JobState.AWAITING_APPROVAL)
    [audit], [event] = decision.audit, decision.events
    assert (audit.what, audit.actor, audit.version) == ("approved", "ada", 8)
    assert audit.details == {"instruction_version": 1, "note": "fine"}
    assert (event.name, event.approval) == (JobEventName.APPROVED, decision.job.approval)
    met(approve(decision.job, By("bob", NOW + 1)), decision.job)


def test_a_newer_version_needs_a_new_approval() -> None:
    approved = decided(approve(a_job(JobState.AWAITING_APPROVAL))).job
    edited = job_commands.instruction_advanced(approved, 2, OWNER).job
    assert (edited.approved, edited.version) == (False, approved.version + 1)
    refused(job_commands.render(edited, START, OWNER), ErrorCode.APPROVAL_REQUIRED)
    again = decided(approve(edited, By("bob", NOW))).job
    assert again.approval == Approval("bob", NOW, 2)
    assert decided(job_commands.render(again, START, OWNER)).job.status is JobState.RENDERING


def test_what_was_edited_after_rendering_is_approved_anew_and_rendered_again() -> None:
    edited = job_commands.instruction_advanced(a_job(JobState.READY), 2, OWNER).job
    refused(job_commands.render(edited, START, OWNER), ErrorCode.APPROVAL_REQUIRED)
    assert decided(job_commands.render(decided(approve(edited)).job, START, OWNER)).dispatch is not None


def test_there_must_be_a_valid_instruction_to_approve() -> None:
    job = a_job(JobState.AWAITING_APPROVAL)
    refused(approve(job, valid=False), ErrorCode.INVALID_STATE)
    refused(approve(replace(job, instruction_id=None, instruction_version=0)), ErrorCode.INVALID_STATE)


@pytest.mark.parametrize("state", others(JobState.AWAITING_APPROVAL, JobState.READY))
def test_elsewhere_there_is_nothing_to_approve(state: JobState) -> None:
    refused(approve(a_job(state)), ErrorCode.INVALID_TRANSITION)


@pytest.mark.parametrize("state", [JobState.AWAITING_APPROVAL, JobState.READY])
def test_rendering_takes_an_approval_and_a_new_attempt(state: JobState) -> None:
    job = replace(a_job(state), approval=None)
    refused(job_commands.render(job, START, OWNER), ErrorCode.APPROVAL_REQUIRED)
    approved = decided(approve(job)).job
    decision = decided(job_commands.render(approved, START, OWNER))
    attempt = job.dispatch_attempt + 1
    assert (decision.status, decision.job.status) == (202, JobState.RENDERING)
    assert decision.dispatch == Dispatch("work-1", WorkType.JOB_RENDER, attempt, NOW + 600 * SECOND)
    assert decision.job.fence == (attempt, 0)
    assert decision.audit[0].details == {"instruction_version": 1, "approved_by": "ada"}


@pytest.mark.parametrize("state", others(JobState.AWAITING_APPROVAL, JobState.READY))
def test_nothing_else_is_rendered(state: JobState) -> None:
    refused(job_commands.render(a_job(state), START, OWNER), ErrorCode.INVALID_TRANSITION)


@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL))
def test_cancelling_tells_the_worker_and_takes_its_message_back(state: JobState) -> None:
    job = a_job(state)
    decision = decided(job_commands.cancel(job, OWNER))
    work_id = None if job.work is None else "work-0"
    assert (decision.status, decision.job.status, decision.withdraw) == (200, JobState.CANCELLED, work_id)
    assert decision.job.work is None
    transitioned, cancelled = decision.events
    assert (transitioned.name, cancelled.name) == (JobEventName.TRANSITIONED, JobEventName.CANCELLED)
    assert (cancelled.work_id, cancelled.attempt) == (work_id, job.dispatch_attempt or None)
    assert len(decision.audit) == 1
    met(job_commands.cancel(decision.job, OWNER), decision.job)


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED])
def test_what_ended_otherwise_is_not_cancelled(state: JobState) -> None:
    refused(job_commands.cancel(a_job(state), OWNER), ErrorCode.INVALID_TRANSITION)


def retry(job: Job, retried: Job | None = None) -> Decision | Problem:
    return job_commands.retry(job, retried, IDS, START, OWNER)


def test_a_retry_is_a_new_job_that_goes_on_from_the_last_checkpoint() -> None:
    failed = replace(
        a_job(JobState.FAILED),
        checkpoint="drafted",
        instruction_id="instruction-1",
        instruction_version=3,
        approval=Approval("ada", NOW, 3),
        actual_cost_usd_micros=9,
        attempt=2,
        objective="reach",
    )
    decision = decided(retry(failed))
    new = decision.job
    assert (decision.status, decision.copy_of) == (202, "job-1")
    assert (new.job_id, new.retry_of, new.attempt, new.status) == ("job-2", "job-1", 3, JobState.QUEUED)
    assert (new.video_uri, new.checkpoint, new.objective) == ("s3://videos/1", "drafted", "reach")
    assert (new.instruction_id, new.instruction_version) == ("instruction-2", 1)
    assert (new.approval, new.actual_cost_usd_micros, new.error) == (None, 0, None)
    assert decision.dispatch == Dispatch("work-1", WorkType.JOB_PROCESS, 1, NOW + 600 * SECOND)
    assert [event.name for event in decision.events] == ["created", "transitioned", "transitioned"]
    assert [event.version for event in decision.events] == [1, 2, 3]
    assert {audit.job_id for audit in decision.audit} == {"job-2"}
    met(retry(failed, new), new)


def test_a_retry_without_anything_to_work_on_waits_for_its_upload() -> None:
    decision = decided(retry(replace(a_job(JobState.FAILED), video_uri=None)))
    assert (decision.status, decision.job.status, decision.dispatch) == (202, JobState.CREATED, None)


@pytest.mark.parametrize("state", others(JobState.FAILED))
def test_only_what_failed_is_retried(state: JobState) -> None:
    refused(retry(a_job(state)), ErrorCode.INVALID_TRANSITION)


def test_the_first_export_ends_the_job() -> None:
    decision = decided(job_commands.export_succeeded(a_job(JobState.READY), LATER))
    assert decision.job.status is JobState.DONE
    met(job_commands.export_succeeded(decision.job, LATER), decision.job)
    refused(job_commands.export_succeeded(a_job(JobState.RENDERING), LATER), ErrorCode.INVALID_TRANSITION)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_ended_job_does_not_follow_its_instruction(state: JobState) -> None:
    met(job_commands.instruction_advanced(a_job(state), 9, OWNER), a_job(state))


def overdue(job: Job, by: By = LATER, max_attempts: int = 2) -> Decision:
    return job_commands.overdue(job, at=by.at, deadline_s=600, max_attempts=max_attempts)


def test_work_past_its_deadline_goes_out_again_under_a_new_attempt_until_it_is_given_up() -> None:
    job = a_job(JobState.TRANSCRIBING)
    again = overdue(job)
    assert again.dispatch == Dispatch("work-0", WorkType.JOB_PROCESS, 2, LATER.at + 600 * SECOND)
    assert (again.withdraw, again.job.status, again.job.fence) == ("work-0", JobState.TRANSCRIBING, (2, 0))
    assert (again.audit, again.events) == ((), ())
    much_later = By("system", LATER.at + 600 * SECOND)
    given_up = overdue(overdue(again.job, much_later).job, By("system", much_later.at + 600 * SECOND))
    assert given_up.job.status is JobState.FAILED
    assert given_up.job.error is not None
    assert given_up.job.error.code == "DEADLINE_EXCEEDED"
    assert (given_up.withdraw, given_up.dispatch, given_up.audit[0].actor) == ("work-0", None, "system")


@pytest.mark.parametrize("state", JobState)
def test_only_work_past_its_deadline_is_touched(state: JobState) -> None:
    met(overdue(a_job(state), OWNER), a_job(state))
    assert overdue(a_job(state)).changed == (a_job(state).work is not None)


@pytest.mark.parametrize("state", JobState)
def test_transcripts_are_read_from_drafting_on(state: JobState) -> None:
    early = {JobState.CREATED, JobState.UPLOADED, JobState.QUEUED, JobState.TRANSCRIBING}
    assert (job_commands.readable(a_job(state), exists=True) is not None) == (state in early)
    empty_end = early | {JobState.FAILED, JobState.CANCELLED}
    assert (job_commands.readable(a_job(state), exists=False) is not None) == (state in empty_end)


COMMANDS: list[Callable[[Job], Decision | Problem]] = [
    lambda job: job_commands.confirm_upload(job, "s3://videos/1", OWNER),
    lambda job: job_commands.run(job, START, OWNER),
    approve,
    lambda job: job_commands.render(job, START, OWNER),
    lambda job: job_commands.cancel(job, OWNER),
    lambda job: job_commands.export_succeeded(job, OWNER),
    overdue,
]


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_change_raises_the_version_and_every_move_is_audited_and_told_once(
    command: Callable[[Job], Decision | Problem], state: JobState
) -> None:
    job = a_job(state)
    ruling = command(job)
    if isinstance(ruling, Problem) or not ruling.changed:
        return
    moves = [] if ruling.job.status is state else [(state, ruling.job.status, job.version + 1)]
    told = [event for event in ruling.events if event.name is JobEventName.TRANSITIONED]
    assert ruling.job.version == job.version + 1
    assert ruling.job.updated_at > job.updated_at
    assert [(event.from_state, event.to_state, event.version) for event in told] == moves
    audits = [audit for audit in ruling.audit if audit.what != "approved"]
    assert [(audit.from_state, audit.to_state, audit.version) for audit in audits] == moves
    approved = [event for event in ruling.events if event.name is JobEventName.APPROVED]
    assert len(ruling.audit) - len(audits) == len(approved)
