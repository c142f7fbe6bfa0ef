"""What a worker's callback does to a job: its order of checks, what it changes, and what waits for what."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem
from contracts.payloads.callbacks import JobStatus
from contracts.values.states import JobState
from contracts.values.work import WorkType
from domain.access import NOT_FOUND
from domain.jobs.job import Job, JobEventName
from domain.jobs.job_callbacks import (
    AcceptedCallback,
    Incoming,
    JobReport,
    ReportOutcome,
    decide_report,
    decide_reports,
)
from domain.jobs.job_states import PROGRESS_STATES, SIGNAL_OF_REPORT, TERMINAL, next_state
from domain.work.work import Arrival, By, Duplicate, Failure, Held, WorkInHand
from tests.domain.jobs.job_factory import (
    MAYBE_EARLY,
    NOW,
    ON_TIME,
    SECOND,
    TERMS,
    WORKER,
    ABlock,
    ADraft,
    AFailure,
    Artifacts,
    AScene,
    ASegment,
    Report,
    a_job,
)


def decide(job: Job, report: JobReport, arrival: Arrival = ON_TIME, by: By = WORKER) -> ReportOutcome:
    return decide_report(job, report, arrival, by, TERMS)


def accepted(outcome: ReportOutcome) -> AcceptedCallback:
    assert isinstance(outcome, AcceptedCallback), outcome
    return outcome


def refused(outcome: ReportOutcome, code: ErrorCode) -> None:
    assert isinstance(outcome, Problem), outcome
    assert outcome.code is code


def held(outcome: ReportOutcome) -> Held:
    assert isinstance(outcome, Held), outcome
    return outcome


@pytest.mark.parametrize(("state", "reported"), [*product(JobState, JobState)])
def test_only_what_the_table_allows_is_accepted(state: JobState, reported: JobState) -> None:
    job = a_job(state)
    outcome = decide(job, Report(reported, sequence=job.last_sequence + 1))
    progresses = state is reported and reported in PROGRESS_STATES
    signal = SIGNAL_OF_REPORT.get(reported)
    moves = signal is not None and next_state(state, signal) is reported
    if not progresses and not moves:
        refused(outcome, ErrorCode.INVALID_TRANSITION)
        return
    decision = accepted(outcome).decision
    assert (decision.status, decision.job.status, decision.job.version) == (204, reported, job.version + 1)
    assert [audit.what for audit in decision.audit] == ([] if progresses else [signal])
    assert [event.name for event in decision.events] == ([] if progresses else [JobEventName.TRANSITIONED])


def test_a_superseded_attempt_is_stale_before_anything_else_is_looked_at() -> None:
    job = replace(a_job(JobState.RENDERING), last_sequence=5)
    refused(decide(job, Report(JobState.READY, sequence=1, attempt=1)), ErrorCode.STALE_ATTEMPT)
    refused(decide(job, Report(JobState.QUEUED, sequence=9, attempt=3)), ErrorCode.STALE_ATTEMPT)
    accepted(decide(job, Report(JobState.READY, sequence=6, attempt=2)))


def test_without_an_attempt_a_callback_counts_as_the_current_one() -> None:
    accepted(decide(a_job(JobState.RENDERING), Report(JobState.READY, sequence=3)))


@pytest.mark.parametrize("sequence", [1, 2])
def test_a_sequence_not_above_the_last_accepted_one_is_out_of_order_before_its_move_is_judged(sequence: int) -> None:
    job = a_job(JobState.QUEUED)
    refused(decide(job, Report(JobState.DONE, sequence=sequence), MAYBE_EARLY), ErrorCode.CALLBACK_OUT_OF_ORDER)


def test_a_skipped_sequence_waits_while_an_older_message_may_come_and_is_taken_when_none_can() -> None:
    report = Report(JobState.TRANSCRIBING, sequence=5)
    held(decide(a_job(JobState.QUEUED), report, MAYBE_EARLY))
    accepted(decide(a_job(JobState.QUEUED), report, ON_TIME))
    too_late = replace(MAYBE_EARLY, now=NOW + 60 * SECOND)
    accepted(decide(a_job(JobState.QUEUED), report, too_late))


def test_a_forbidden_move_waits_likewise_and_is_refused_when_nothing_can_help() -> None:
    report = Report(JobState.DRAFTING, sequence=3)
    held(decide(a_job(JobState.QUEUED), report, MAYBE_EARLY))
    refused(decide(a_job(JobState.QUEUED), report, ON_TIME), ErrorCode.INVALID_TRANSITION)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_for_an_ended_job_nothing_waits(state: JobState) -> None:
    refused(decide(a_job(state), Report(JobState.READY, sequence=9), MAYBE_EARLY), ErrorCode.INVALID_TRANSITION)


def test_a_state_that_no_worker_may_ask_for_is_refused_at_once() -> None:
    report = Report(JobState.CANCELLED, sequence=9)
    refused(decide(a_job(JobState.QUEUED), report, MAYBE_EARLY), ErrorCode.INVALID_TRANSITION)


@given(st.integers(1, 3_600))
def test_holding_ends_at_the_limit_after_few_deliveries(reorder_s: int) -> None:
    arrival = Arrival(NOW, NOW, older_outstanding=True, reorder_s=reorder_s)
    deliveries = 0
    while (wait := arrival.hold()) is not None:
        deliveries += 1
        arrival = replace(arrival, now=arrival.now + max(1, round(wait.delay_s * SECOND)))
    assert deliveries < 40
    assert arrival.now - NOW <= reorder_s * SECOND + 1


def test_a_clock_behind_the_streams_does_not_hold_longer() -> None:
    wait = Arrival(NOW + 5 * SECOND, NOW, older_outstanding=True, reorder_s=60).hold()
    assert wait is not None
    assert wait.delay_s <= 60


def test_progress_checkpoint_cost_and_url_are_kept_and_what_is_not_said_stays() -> None:
    job = replace(a_job(JobState.RENDERING), actual_cost_usd_micros=100, checkpoint={"at": 1}, progress=10)
    told = Report(
        JobState.RENDERING, 3, progress=55.5, cost_usd_micros=23, artifacts=Artifacts(video_url="https://v/1")
    )
    after = accepted(decide(job, told)).decision.job
    assert (after.progress, after.actual_cost_usd_micros, after.video_url) == (55.5, 123, "https://v/1")
    assert (after.checkpoint, after.last_sequence) == ({"at": 1}, 3)
    silent = accepted(decide(after, Report(JobState.RENDERING, 4))).decision.job
    assert (silent.progress, silent.actual_cost_usd_micros, silent.video_url) == (55.5, 123, "https://v/1")


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.TRANSCRIBING, JobState.DRAFTING, JobState.RENDERING])
def test_each_report_moves_the_deadline_on_and_never_nearer(state: JobState) -> None:
    reported = JobState.TRANSCRIBING if state is JobState.QUEUED else state
    after = accepted(decide(a_job(state), Report(reported, 3))).decision.job
    assert after.work is not None
    assert after.work.deadline == NOW + 600 * SECOND
    far = replace(a_job(state), work=WorkInHand("work-0", WorkType.JOB_PROCESS, NOW + 9_999 * SECOND))
    kept = accepted(decide(replace(far, status=JobState.DRAFTING), Report(JobState.DRAFTING, 3))).decision.job
    assert kept.work == far.work


@pytest.mark.parametrize(
    ("state", "reported"),
    [(JobState.DRAFTING, "AWAITING_APPROVAL"), (JobState.RENDERING, "READY"), (JobState.RENDERING, "FAILED")],
)
def test_what_is_finished_is_no_longer_in_hand(state: JobState, reported: str) -> None:
    assert accepted(decide(a_job(state), Report(JobState(reported), 3))).decision.job.work is None


def test_a_failure_is_kept_with_its_reason() -> None:
    told = Report(JobState.FAILED, 3, failure=AFailure("GPU_LOST", "gone", retryable=True))
    decision = accepted(decide(a_job(JobState.RENDERING), told)).decision
    assert decision.job.error == Failure("GPU_LOST", "gone", retryable=True)
    assert decision.audit[0].details["error"] == "GPU_LOST"
    silent = accepted(decide(a_job(JobState.RENDERING), Report(JobState.FAILED, 3))).decision
    assert silent.job.error is not None
    assert silent.job.error.code == "UNEXPLAINED"


def test_a_failure_told_with_another_status_does_not_fail_the_job() -> None:
    told = Report(JobState.RENDERING, 3, failure=AFailure("HICCUP", "went on", retryable=True))
    assert accepted(decide(a_job(JobState.RENDERING), told)).decision.job.error is None


def test_a_transcript_replaces_what_begins_within_its_span() -> None:
    parts = [ASegment(2_000, 3_500), ASegment(1_000, 2_000)]
    told = accepted(decide(a_job(JobState.TRANSCRIBING), Report(JobState.TRANSCRIBING, 3, artifacts=Artifacts(parts))))
    assert told.transcript is not None
    assert (told.transcript.from_ms, told.transcript.before_ms) == (1_000, 3_500)
    assert [segment.start_ms for segment in told.transcript.segments] == [1_000, 2_000]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=1))
def test_every_segment_of_a_transcript_begins_within_its_span(starts: list[tuple[int, int]]) -> None:
    parts = [ASegment(start, start + length) for start, length in starts]
    told = accepted(decide(a_job(JobState.TRANSCRIBING), Report(JobState.TRANSCRIBING, 3, artifacts=Artifacts(parts))))
    assert told.transcript is not None
    assert len(told.transcript.segments) == len(parts)
    assert all(told.transcript.from_ms <= part.start_ms < told.transcript.before_ms for part in parts)


def test_an_empty_transcript_and_no_artifacts_change_nothing() -> None:
    for made in (None, Artifacts(), Artifacts([], [])):
        told = accepted(decide(a_job(JobState.TRANSCRIBING), Report(JobState.TRANSCRIBING, 3, artifacts=made)))
        assert (told.transcript, [*told.storyboard], told.draft) == (None, [], None)


def test_the_first_draft_makes_the_instruction_and_a_later_one_a_version_that_is_not_approved() -> None:
    made = Artifacts(None, [AScene(1)], ADraft([ABlock("b1")]))
    first = accepted(decide(a_job(JobState.DRAFTING), Report(JobState.AWAITING_APPROVAL, 3, artifacts=made)))
    assert first.draft is not None
    assert (first.draft.instruction_id, first.draft.version, [*first.draft.blocks]) == ("new-id", 1, [ABlock("b1")])
    assert [scene.scene for scene in first.storyboard] == [1]
    job = first.decision.job
    assert (job.instruction_id, job.instruction_version) == ("new-id", 1)
    later = accepted(decide(a_job(JobState.READY), Report(JobState.READY, 3, artifacts=made))).decision.job
    assert (later.instruction_id, later.instruction_version, later.approved) == ("instruction-1", 2, False)


def test_the_payload_of_the_wire_is_a_report() -> None:
    told = JobStatus.model_validate(
        {
            "event_id": "e1",
            "sequence": 3,
            "status": "TRANSCRIBING",
            "progress": 50,
            "cost_usd": "0.5",
            "artifacts": {"transcript": [{"start_ms": 0, "end_ms": 10, "text": "hi"}]},
        }
    )
    outcome = accepted(decide(a_job(JobState.QUEUED), told))
    assert outcome.decision.job.actual_cost_usd_micros == 500_000
    assert outcome.transcript is not None


# --- several callbacks in one batch ---


def incoming(
    report: Report, *, job_id: str = "job-1", event_hash: str | None = None, arrival: Arrival = ON_TIME
) -> Incoming:
    return Incoming(job_id, event_hash or f"hash of {report.event_id}", report, arrival, WORKER)


def fold(reports: list[Incoming], known: dict[str, str] | None = None) -> list[ReportOutcome]:
    return decide_reports(reports, {"job-1": a_job(JobState.QUEUED)}, known or {}, TERMS)


def test_the_callbacks_of_one_job_in_one_batch_are_decided_in_order() -> None:
    states = [JobState.TRANSCRIBING, JobState.TRANSCRIBING, JobState.DRAFTING, JobState.AWAITING_APPROVAL]
    outcomes = fold([incoming(Report(state, sequence)) for sequence, state in enumerate(states, start=3)])
    jobs = [accepted(outcome).decision.job for outcome in outcomes]
    assert [job.status for job in jobs] == states
    assert [job.version for job in jobs] == [8, 9, 10, 11]


def test_the_order_is_that_of_arrival_not_of_the_numbers() -> None:
    five, three = Report(JobState.TRANSCRIBING, 5), Report(JobState.TRANSCRIBING, 3)
    outcomes = fold([incoming(five), incoming(three)])
    accepted(outcomes[0])
    refused(outcomes[1], ErrorCode.CALLBACK_OUT_OF_ORDER)


def test_a_known_event_is_answered_before_anything_else_is_judged() -> None:
    report = Report(JobState.DONE, 1, attempt=99)
    same, other = incoming(report, event_hash="a"), incoming(report, event_hash="b")
    outcomes = fold([same, other], {report.event_id: "a"})
    assert outcomes[0] == Duplicate()
    refused(outcomes[1], ErrorCode.EVENT_ID_PAYLOAD_MISMATCH)


def test_a_copy_on_an_unknown_job_is_a_mismatch_and_a_new_event_there_is_not_found() -> None:
    report = Report(JobState.TRANSCRIBING, 3)
    outcomes = fold(
        [
            incoming(report),
            incoming(report, job_id="job-9", event_hash="of the copy"),
            incoming(Report(JobState.TRANSCRIBING, 3), job_id="job-9"),
        ]
    )
    accepted(outcomes[0])
    refused(outcomes[1], ErrorCode.EVENT_ID_PAYLOAD_MISMATCH)
    assert outcomes[2] is NOT_FOUND


def test_the_same_event_twice_in_a_batch_has_one_effect() -> None:
    report = incoming(Report(JobState.TRANSCRIBING, 3, cost_usd_micros=5))
    first, second = fold([report, report])
    assert accepted(first).decision.job.actual_cost_usd_micros == 5
    assert second == Duplicate()


def test_a_refused_event_does_not_use_up_its_id() -> None:
    report = Report(JobState.DRAFTING, 3)
    outcomes = fold(
        [
            incoming(report),
            incoming(Report(JobState.TRANSCRIBING, 3)),
            incoming(Report(report.status, 4, event_id=report.event_id)),
        ]
    )
    refused(outcomes[0], ErrorCode.INVALID_TRANSITION)
    accepted(outcomes[1])
    accepted(outcomes[2])


def test_what_follows_a_held_one_is_held_too_until_the_gap_is_closed() -> None:
    early = incoming(Report(JobState.DRAFTING, 4), arrival=MAYBE_EARLY)
    behind = incoming(Report(JobState.DRAFTING, 5))
    outcomes = fold([early, behind])
    held(outcomes[0])
    held(outcomes[1])
    missing = incoming(Report(JobState.TRANSCRIBING, 3))
    after = fold([missing, early, behind])
    assert [accepted(outcome).decision.job.status for outcome in after] == ["TRANSCRIBING", "DRAFTING", "DRAFTING"]


def test_jobs_of_one_batch_do_not_touch_each_other() -> None:
    other = replace(a_job(JobState.QUEUED), job_id="job-2")
    reports = [incoming(Report(JobState.TRANSCRIBING, 3)), incoming(Report(JobState.DRAFTING, 3), job_id="job-2")]
    outcomes = decide_reports(reports, {"job-1": a_job(JobState.QUEUED), "job-2": other}, {}, TERMS)
    assert accepted(outcomes[0]).decision.job.job_id == "job-1"
    refused(outcomes[1], ErrorCode.INVALID_TRANSITION)


def test_costs_that_add_up_to_more_than_can_be_written_stay_at_the_most_and_nothing_is_refused_for_it() -> None:
    most = 10**18 - 1
    job = replace(a_job(JobState.TRANSCRIBING), actual_cost_usd_micros=most - 5)
    for cost in (5, 6, most):
        reported = accepted(decide(job, Report(JobState.TRANSCRIBING, 3, cost_usd_micros=cost))).decision.job
        assert reported.actual_cost_usd_micros == most
