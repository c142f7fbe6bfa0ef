"""What a worker must keep to, judged from the reports that it sent. Pure: reports in, verdicts out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from contracts.errors import JsonObject
from contracts.gate.delivery import Accepted, Judged, Refused
from contracts.payloads.callbacks import Callback, ItemResult, JobStatus, PublishResult, TaskStatus
from contracts.values.states import JobState, TaskState

_JOB_ENDS: Final = frozenset({JobState.AWAITING_APPROVAL, JobState.READY, JobState.FAILED})
_TASK_ENDS: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})
_IN_ORDER: Final = (
    JobState.QUEUED,
    JobState.TRANSCRIBING,
    JobState.DRAFTING,
    JobState.AWAITING_APPROVAL,
    JobState.RENDERING,
    JobState.READY,
)


class Outcome(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a rule was kept; ``detail`` says what was wrong, or why it could not be tried."""

    rule: str
    outcome: Outcome
    detail: str = ""

    def as_json(self) -> JsonObject:
        return {"rule": self.rule, "outcome": str(self.outcome), "detail": self.detail}


def kept(rule: str, faults: Sequence[str]) -> Verdict:
    return Verdict(rule, Outcome.BROKEN, "; ".join(faults[:3])) if faults else Verdict(rule, Outcome.KEPT)


def reports_of(judged: Sequence[Judged]) -> list[Callback]:
    return [each.payload for each in judged if isinstance(each, Accepted) and isinstance(each.payload, Callback)]


def is_end(report: Callback) -> bool:
    """Whether nothing more is to be said of the work."""
    if isinstance(report, JobStatus):
        return report.status in _JOB_ENDS
    if isinstance(report, TaskStatus):
        return report.status in _TASK_ENDS
    return isinstance(report, ItemResult | PublishResult)


def judge_reports(judged: Sequence[Judged], *, attempt: int, subject: str) -> Iterator[Verdict]:
    """The rules for the reports of one dispatch, in the order in which they came."""
    reports = reports_of(judged)
    refused = [each for each in judged if isinstance(each, Refused)]
    unsigned = [each for each in refused if each.problem.status == 401]
    malformed = [each for each in refused if each.problem.status != 401]
    yield kept("signature: every report is signed, and webhook-id is its event_id", why(unsigned))
    yield kept("contract: every report is as its schema says", why(malformed))
    strayed = [each.delivery.subject for each in judged if each.delivery.subject != subject]
    yield kept("subject: reports go to callback_subject", strayed)
    yield kept(
        "end: the work ends with a report that says so", [] if _ends(reports) else ["no report was the last one"]
    )
    numbered = [report for report in reports if isinstance(report, JobStatus | TaskStatus)]
    if not numbered:
        return
    yield kept(f"attempt: reports repeat attempt {attempt} of the work", list(_wrong_attempts(numbered, attempt)))
    yield kept("sequence: it begins with 1 and rises", list(_disorder([report.sequence for report in numbered])))
    if statuses := [report.status for report in numbered if isinstance(report, JobStatus)]:
        yield kept("status: no step back", list(_steps_back(statuses)))


def judge_repeats(earlier: Sequence[Judged], later: Sequence[Judged]) -> Verdict:
    """A report with a known event id must be the same report."""
    known = {report.event_id: each.payload_hash for each, report in _pairs(earlier)}
    changed = [
        f"{report.event_id} came again with another payload"
        for each, report in _pairs(later)
        if known.get(report.event_id, each.payload_hash) != each.payload_hash
    ]
    return kept("repeats: one event_id, one payload", changed)


def _pairs(judged: Sequence[Judged]) -> Iterator[tuple[Accepted, Callback]]:
    for each in judged:
        if isinstance(each, Accepted) and isinstance(each.payload, Callback):
            yield each, each.payload


def why(refused: Sequence[Refused]) -> list[str]:
    return [
        f"{each.problem.code}: {each.problem.message}"
        + "".join(f" ({detail.path}: {detail.message})" for detail in each.problem.details[:2])
        for each in refused
    ]


def _ends(reports: Sequence[Callback]) -> bool:
    return bool(reports) and is_end(reports[-1])


def _wrong_attempts(reports: Sequence[JobStatus | TaskStatus], attempt: int) -> Iterator[str]:
    for report in reports:
        if report.attempt is not None and report.attempt != attempt:
            yield f"{report.event_id} has attempt {report.attempt}"


def _disorder(sequences: Sequence[int]) -> Iterator[str]:
    if sequences[0] != 1:
        yield f"it began with {sequences[0]}"
    for before, after in pairwise(sequences):
        if after <= before:
            yield f"{after} came after {before}"


def _steps_back(statuses: Sequence[JobState]) -> Iterator[str]:
    ordered = [status for status in statuses if status in _IN_ORDER]
    for before, after in pairwise(ordered):
        if _IN_ORDER.index(after) < _IN_ORDER.index(before):
            yield f"{after} came after {before}"
