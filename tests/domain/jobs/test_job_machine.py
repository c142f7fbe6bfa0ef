"""Commands, callbacks and healing in any order, beside a plain model of what the contract allows."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.errors import ErrorCode, Problem
from contracts.values.states import JobState
from domain.jobs import job_commands
from domain.jobs.job import AuditEvent, Decision, Job, JobEvent, JobEventName
from domain.jobs.job_callbacks import AcceptedCallback, Incoming, ReportOutcome, decide_reports
from domain.jobs.job_commands import NewJob, RetryIds
from domain.work.work import Arrival, By, Dispatch, Duplicate, Held, Start
from tests.domain.jobs.job_factory import NOW, SECOND, TERMS, ABlock, ADraft, Artifacts, Report

# Written out by hand from the contract, on purpose not taken from the table under test.
WAY = ["CREATED", "UPLOADED", "QUEUED", "TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "RENDERING", "READY", "DONE"]
ENDS = {"DONE", "FAILED", "CANCELLED"}
MOVES = {
    *pairwise(WAY),
    ("READY", "RENDERING"),
    *((state, end) for state in WAY[:-1] for end in ("FAILED", "CANCELLED")),
}
WORKERS_MAY_ASK = {"TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "READY", "FAILED"}
WORKERS_MAY_REPEAT = {"TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "RENDERING", "READY"}

MAX_ATTEMPTS = 2


class JobMachine(RuleBasedStateMachine):
    """One job; what is decided is applied, and everything it told is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.job: Job = job_commands.create(NewJob("job-1", "project-1", "ada", "A title"), self.by()).job
        self.audit: list[AuditEvent] = []
        self.events: list[JobEvent] = []
        self.dispatches: list[Dispatch] = []
        self.states: list[str] = ["CREATED"]
        self.known: dict[str, str] = {}
        self.reports: list[Report] = []
        self.spent = 0
        self.works = 0

    def by(self, actor: str = "ada") -> By:
        return By(actor, self.now)

    def start(self) -> Start:
        self.works += 1
        return Start(f"work-{self.works}", 600)

    def apply(self, ruling: Decision | Problem) -> None:
        """Take a decision over, after checking what must hold for each."""
        if isinstance(ruling, Problem):
            return
        before, after = self.job, ruling.job
        if not ruling.changed:
            assert after == before
            assert (ruling.audit, ruling.events, ruling.dispatch) == ((), (), None)
            return
        assert before.status not in ENDS, "an ended job changed"
        assert after.version == before.version + 1
        assert (before.status, after.status) in MOVES or before.status == after.status
        moved = before.status != after.status
        approved = [event for event in ruling.events if event.name is JobEventName.APPROVED]
        assert len(ruling.audit) == moved + len(approved)
        assert len([event for event in ruling.events if event.name is JobEventName.TRANSITIONED]) == moved
        self.job = after
        self.audit += ruling.audit
        self.events += ruling.events
        self.dispatches += [ruling.dispatch] if ruling.dispatch else []
        self.states += [after.status] if moved else []

    @initialize(steps=st.integers(0, 8))
    def begin_some_way_along(self, steps: int) -> None:
        """Chance alone seldom comes far: begin anywhere on the straight way."""
        way: list[Callable[[], object]] = [
            lambda: self.apply(job_commands.confirm_upload(self.job, "s3://1", self.by())),
            lambda: self.apply(job_commands.run(self.job, self.start(), self.by())),
            *[lambda: self.report(self.next_report(drafts=True, attempt=None, cost=1))] * 3,
            lambda: self.apply(job_commands.approve(self.job, note=None, instruction_valid=True, by=self.by())),
            lambda: self.apply(job_commands.render(self.job, self.start(), self.by())),
            lambda: self.report(self.next_report(drafts=False, attempt=None, cost=1)),
        ]
        for step in way[:steps]:
            step()

    @rule(seconds=st.sampled_from([0, 1, 700]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(video=st.sampled_from(["s3://1", "s3://2"]))
    def confirm_upload(self, video: str) -> None:
        self.apply(job_commands.confirm_upload(self.job, video, self.by()))

    @rule()
    def run_it(self) -> None:
        self.apply(job_commands.run(self.job, self.start(), self.by()))

    @rule(valid=st.booleans())
    def approve(self, *, valid: bool) -> None:
        self.apply(job_commands.approve(self.job, note=None, instruction_valid=valid, by=self.by()))

    @rule()
    def render(self) -> None:
        approved = self.job.approval is not None and self.job.approval.version == self.job.instruction_version
        ruling = job_commands.render(self.job, self.start(), self.by())
        assert approved or isinstance(ruling, Problem), "rendered without an approval of the newest version"
        self.apply(ruling)

    @rule()
    def edit_the_instruction(self) -> None:
        newer = self.job.instruction_version + 1
        self.apply(job_commands.instruction_advanced(self.job, newer, self.by()))

    @rule()
    def export(self) -> None:
        self.apply(job_commands.export_succeeded(self.job, self.by("system")))

    @rule(sure=st.integers(0, 9))
    def cancel(self, sure: int) -> None:
        if sure == 0 or self.job.status in ENDS:
            self.apply(job_commands.cancel(self.job, self.by()))

    @rule()
    def heal(self) -> None:
        self.apply(job_commands.overdue(self.job, at=self.now, deadline_s=600, max_attempts=MAX_ATTEMPTS))

    @rule()
    def retry(self) -> None:
        ruling = job_commands.retry(self.job, None, RetryIds("job-2", "instruction-2"), self.start(), self.by())
        assert isinstance(ruling, Problem) == (self.job.status is not JobState.FAILED)
        if isinstance(ruling, Decision):
            assert (ruling.job.retry_of, ruling.job.approval, ruling.job.actual_cost_usd_micros) == ("job-1", None, 0)
            assert ruling.job.status in {"QUEUED", "CREATED"}

    @precondition(lambda self: self.job.status in WAY[2:8])
    @rule(drafts=st.booleans(), names_attempt=st.booleans(), cost=st.integers(0, 9))
    def the_worker_goes_on(self, *, drafts: bool, names_attempt: bool, cost: int) -> None:
        attempt = self.job.dispatch_attempt if names_attempt else None
        self.report(self.next_report(drafts=drafts, attempt=attempt, cost=cost))

    def next_report(self, *, drafts: bool, attempt: int | None, cost: int) -> Report:
        """What a well-behaved worker says next."""
        at = WAY.index(self.job.status)
        reported = JobState(WAY[at if self.job.status in {"AWAITING_APPROVAL", "READY"} else at + 1])
        made = Artifacts(instruction=ADraft([ABlock("b1")])) if drafts else None
        return Report(reported, self.job.last_sequence + 1, attempt, cost_usd_micros=cost, artifacts=made)

    @rule(
        reported=st.sampled_from(JobState),
        off=st.sampled_from([None, 0, 0, -1, 1]),
        sequence=st.integers(-1, 3),
        cost=st.integers(0, 9),
    )
    def any_worker_says_anything(self, reported: JobState, off: int | None, sequence: int, cost: int) -> None:
        attempt = None if off is None else max(1, self.job.dispatch_attempt + off)
        told = max(1, self.job.last_sequence + sequence)
        self.report(Report(reported, told, attempt, cost_usd_micros=cost))

    @precondition(lambda self: self.reports)
    @rule(which=st.integers(0, 1_000), changed=st.booleans())
    def an_event_comes_again(self, which: int, *, changed: bool) -> None:
        earlier = self.reports[which % len(self.reports)]
        self.report(replace(earlier, progress=99.0) if changed else earlier)

    def report(self, report: Report) -> None:
        event_hash = f"{report.status} {report.sequence} {report.attempt} {report.progress} {report.cost_usd_micros}"
        # Judged twice: as if something older could still come, which may hold it, and as if nothing could.
        waiting, final = (self.judge(report, event_hash, older) for older in (True, False))
        expected = self.expected(report, event_hash)
        assert isinstance(waiting, Held) or kind(waiting) == expected
        assert kind(final) == expected
        self.reports.append(report)
        if isinstance(final, AcceptedCallback):
            self.spent += report.cost_usd_micros or 0
            self.known[report.event_id] = event_hash
            self.apply(final.decision)

    def judge(self, report: Report, event_hash: str, older: bool) -> ReportOutcome:
        arrival = Arrival(self.now, self.now, older, 60)
        one = Incoming("job-1", event_hash, report, arrival, self.by("worker"))
        return decide_reports([one], {"job-1": self.job}, self.known, TERMS)[0]

    def expected(self, report: Report, event_hash: str) -> str:
        """The contract's order of checks, in plain words."""
        if report.event_id in self.known:
            same = self.known[report.event_id] == event_hash
            return "duplicate" if same else ErrorCode.EVENT_ID_PAYLOAD_MISMATCH
        if report.attempt not in (None, self.job.dispatch_attempt):
            return ErrorCode.STALE_ATTEMPT
        if report.sequence <= self.job.last_sequence:
            return ErrorCode.CALLBACK_OUT_OF_ORDER
        state, reported = str(self.job.status), str(report.status)
        moves = reported in WORKERS_MAY_ASK and (state, reported) in MOVES
        repeats = state == reported and reported in WORKERS_MAY_REPEAT
        return "accepted" if moves or repeats else ErrorCode.INVALID_TRANSITION

    @invariant()
    def the_audit_is_the_way_that_was_gone(self) -> None:
        moves = [(audit.from_state, audit.to_state) for audit in self.audit if audit.what != "approved"]
        assert moves == list(pairwise(self.states))
        assert [audit.version for audit in self.audit] == sorted({audit.version for audit in self.audit})

    @invariant()
    def every_transition_is_told_once_with_the_version_of_its_audit(self) -> None:
        told = [event for event in self.events if event.name is JobEventName.TRANSITIONED]
        assert [(event.version, event.to_state) for event in told] == [
            (audit.version, audit.to_state) for audit in self.audit if audit.what != "approved"
        ]
        cancelled = [event for event in self.events if event.name is JobEventName.CANCELLED]
        assert len(cancelled) == (self.job.status is JobState.CANCELLED)

    @invariant()
    def attempts_rise_by_one_with_each_dispatch(self) -> None:
        assert [dispatch.attempt for dispatch in self.dispatches] == [*range(1, len(self.dispatches) + 1)]
        assert self.job.dispatch_attempt == len(self.dispatches)

    @invariant()
    def cost_is_what_accepted_reports_add_up_to(self) -> None:
        assert self.job.actual_cost_usd_micros == self.spent

    @invariant()
    def work_is_in_hand_exactly_while_somebody_is_at_work(self) -> None:
        at_work = self.job.status in {"QUEUED", "TRANSCRIBING", "DRAFTING", "RENDERING"}
        assert (self.job.work is not None) == at_work
        assert self.job.work is None or self.job.work.redispatches <= MAX_ATTEMPTS

    @invariant()
    def a_job_has_failed_exactly_when_it_says_why(self) -> None:
        assert (self.job.error is not None) == (self.job.status is JobState.FAILED)


def kind(outcome: ReportOutcome) -> str:
    match outcome:
        case AcceptedCallback():
            return "accepted"
        case Duplicate():
            return "duplicate"
        case Held():
            return "held"
        case Problem():
            return outcome.code


TestJobMachine: Callable[[], object] = JobMachine.TestCase
JobMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
