"""What workers report of jobs: one callback decided against its job, and a batch of them in the order they came.

Checks in order: known event, attempt, sequence, transition. A report that leaves out a sequence, or asks for a move
that the state forbids, may only have overtaken an older one that another daemon holds or that is to be delivered again:
while such can come it is held back, for a limited time, then decided as it stands. Where no older message could help
(the job has ended, or no worker may ever ask for that state) it is decided at once.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, JsonObject, JsonValue, Problem, problem
from contracts.values.money import MAX_MICROS
from contracts.values.states import JobState
from contracts.values.work import WorkType
from domain.access import NOT_FOUND
from domain.documents.instructions import BlockFacts, same_blocks
from domain.jobs.job import Decision, Job, moved, touched, unchanged
from domain.jobs.job_states import PROGRESS_STATES, SIGNAL_OF_REPORT, Signal, next_state
from domain.work.work import (
    UNEXPLAINED,
    Arrival,
    By,
    Duplicate,
    Failure,
    Held,
    fenced_out,
    kept_alive,
    known_event,
    skips,
)

_NO_CONTENT: Final = 204


class SegmentFacts(Protocol):
    """A piece of a transcript."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def text(self) -> str: ...


class SceneFacts(Protocol):
    """A picture of the storyboard; ``scene`` counts from 1."""

    @property
    def scene(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def image_url(self) -> str | None: ...


class InstructionFacts(Protocol):
    @property
    def blocks(self) -> Sequence[BlockFacts]: ...


class ArtifactFacts(Protocol):
    """What the worker made so far."""

    @property
    def transcript(self) -> Sequence[SegmentFacts] | None: ...
    @property
    def storyboard(self) -> Sequence[SceneFacts] | None: ...
    @property
    def instruction(self) -> InstructionFacts | None: ...
    @property
    def video_url(self) -> str | None: ...


class FailureFacts(Protocol):
    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def retryable(self) -> bool: ...


class JobReport(Protocol):
    """A proven ``job.status``; ``cost_usd_micros`` is what was spent since the last report."""

    @property
    def event_id(self) -> str: ...
    @property
    def attempt(self) -> int | None: ...
    @property
    def sequence(self) -> int: ...
    @property
    def status(self) -> JobState: ...
    @property
    def progress(self) -> float | None: ...
    @property
    def checkpoint(self) -> JsonValue: ...
    @property
    def cost_usd_micros(self) -> int | None: ...
    @property
    def artifacts(self) -> ArtifactFacts | None: ...
    @property
    def failure(self) -> FailureFacts | None: ...


class Terms(Struct, frozen=True):
    """What deciding needs from outside: how long work of each type may be silent, and new ids."""

    deadline_s: Mapping[WorkType, float]
    new_id: Callable[[], str]


class Transcript(Struct, frozen=True):
    """Segments in their order; they take the place of stored ones that begin in ``[from_ms, before_ms)``.

    So a worker that sends its transcript in parts adds to it, and one that begins again replaces what it repeats.
    """

    from_ms: int
    before_ms: int
    segments: Sequence[SegmentFacts]


class Draft(Struct, frozen=True):
    """A version of the instruction that the worker wrote."""

    instruction_id: str
    version: int
    blocks: Sequence[BlockFacts]


class AcceptedCallback(Struct, frozen=True):
    """What an accepted callback changes. Scenes of the storyboard replace those of the same number."""

    decision: Decision
    transcript: Transcript | None = None
    storyboard: Sequence[SceneFacts] = ()
    draft: Draft | None = None


ReportRuling: TypeAlias = AcceptedCallback | Held | Problem
ReportOutcome: TypeAlias = AcceptedCallback | Duplicate | Held | Problem


def decide_report(
    job: Job, report: JobReport, arrival: Arrival, by: By, terms: Terms, newest: Sequence[BlockFacts] | None = None
) -> ReportRuling:
    """Judge one report whose event is not known yet; ``newest`` is what the newest version of the instruction says."""
    if (refused := fenced_out(job.fence, attempt=report.attempt, sequence=report.sequence)) is not None:
        return refused
    signal = _move(job, report.status)
    overtook = isinstance(signal, Problem) or skips(job.fence, report.sequence)
    if overtook and _older_could_help(job, report) and (held := arrival.hold()) is not None:
        return held
    if isinstance(signal, Problem):
        return signal
    return _accept(job, report, signal, by, terms, newest)


class Incoming(Struct, frozen=True):
    """A callback on its way to a job. ``event_hash`` covers the payload and the id in the subject."""

    job_id: str
    event_hash: str
    report: JobReport
    arrival: Arrival
    by: By


def decide_reports(
    incoming: Sequence[Incoming],
    jobs: Mapping[str, Job],
    known: Mapping[str, str],
    terms: Terms,
    written: Mapping[str, Sequence[BlockFacts]] = MappingProxyType({}),
) -> list[ReportOutcome]:
    """Judge a batch in its order, each report against what the ones before it left; one outcome for each.

    ``known`` maps the ``event_id`` of every event of the family that was accepted before to its hash, ``written`` a job
    to what the newest version of its instruction says. The last accepted decision on a job has its final value.
    """
    current, accepted, newest = dict(jobs), dict(known), dict(written)
    waiting: set[str] = set()
    outcomes: list[ReportOutcome] = []
    for each in incoming:
        job, says = current.get(each.job_id), newest.get(each.job_id)
        outcome = _decide_next(each, job, accepted, each.job_id in waiting, terms, says)
        if isinstance(outcome, AcceptedCallback):
            current[each.job_id] = outcome.decision.job
            if outcome.draft is not None:
                newest[each.job_id] = outcome.draft.blocks
            accepted[each.report.event_id] = each.event_hash
        elif isinstance(outcome, Held):
            waiting.add(each.job_id)
        outcomes.append(outcome)
    return outcomes


def _decide_next(
    each: Incoming,
    job: Job | None,
    accepted: Mapping[str, str],
    follows_held: bool,
    terms: Terms,
    newest: Sequence[BlockFacts] | None,
) -> ReportOutcome:
    if (known_hash := accepted.get(each.report.event_id)) is not None:
        return known_event(known_hash, each.event_hash)
    if job is None:
        return NOT_FOUND
    # What is held in this batch is given back unacknowledged: for those behind it an older message is outstanding.
    arrival = replace(each.arrival, older_outstanding=True) if follows_held else each.arrival
    return decide_report(job, each.report, arrival, each.by, terms, newest)


def _move(job: Job, reported: JobState) -> Signal | Problem | None:
    """The signal that a reported status stands for; None where it is the current one and only tells of progress."""
    if reported is job.status and reported in PROGRESS_STATES:
        return None
    signal = SIGNAL_OF_REPORT.get(reported)
    if signal is None or next_state(job.status, signal) is None:
        return problem(ErrorCode.INVALID_TRANSITION, f"a job that is {job.status} cannot be reported as {reported}")
    return signal


def _older_could_help(job: Job, report: JobReport) -> bool:
    return not job.terminal and (report.status in SIGNAL_OF_REPORT or report.status in PROGRESS_STATES)


def _accept(
    job: Job, report: JobReport, signal: Signal | None, by: By, terms: Terms, newest: Sequence[BlockFacts] | None
) -> AcceptedCallback:
    made = report.artifacts
    draft = _draft(job, made, terms, newest)
    reported = replace(
        job,
        progress=job.progress if report.progress is None else report.progress,
        checkpoint=job.checkpoint if report.checkpoint is None else report.checkpoint,
        # No report fails for what others add up to.
        actual_cost_usd_micros=min(job.actual_cost_usd_micros + (report.cost_usd_micros or 0), MAX_MICROS),
        video_url=job.video_url if made is None or made.video_url is None else made.video_url,
        instruction_id=job.instruction_id if draft is None else draft.instruction_id,
        instruction_version=job.instruction_version if draft is None else draft.version,
        error=_failure(report) if signal is Signal.FAILURE_REPORTED else job.error,
        last_sequence=report.sequence,
        work=job.work and kept_alive(job.work, by.in_seconds(terms.deadline_s[job.work.type])),
    )
    before = unchanged(reported, _NO_CONTENT)
    decision = touched(before, by) if signal is None else moved(before, signal, by, _details(report, reported))
    if made is None:
        return AcceptedCallback(decision)
    return AcceptedCallback(decision, _transcript(made), made.storyboard or (), draft)


def _details(report: JobReport, job: Job) -> JsonObject:
    details: JsonObject = {"event_id": report.event_id, "attempt": job.dispatch_attempt, "sequence": report.sequence}
    return details if job.error is None else {**details, "error": job.error.code}


def _failure(report: JobReport) -> Failure:
    told = report.failure
    return UNEXPLAINED if told is None else Failure(told.code, told.message, told.retryable)


def _transcript(made: ArtifactFacts) -> Transcript | None:
    if not made.transcript:
        return None
    segments = sorted(made.transcript, key=lambda segment: (segment.start_ms, segment.end_ms))
    before_ms = max(segments[-1].start_ms + 1, *(segment.end_ms for segment in segments))
    return Transcript(segments[0].start_ms, before_ms, segments)


def _draft(job: Job, made: ArtifactFacts | None, terms: Terms, newest: Sequence[BlockFacts] | None) -> Draft | None:
    """A worker that repeats what the newest version says writes no version, which would ask for a new approval."""
    if made is None or made.instruction is None:
        return None
    if newest is not None and same_blocks(made.instruction.blocks, newest):
        return None
    return Draft(job.instruction_id or terms.new_id(), job.instruction_version + 1, made.instruction.blocks)
