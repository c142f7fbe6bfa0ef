"""Jobs and reports that are consistent in themselves, for tests to vary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace

from contracts.errors import JsonValue
from contracts.values.states import JobState
from contracts.values.work import WorkType
from domain.jobs.job import WORK_OF_STATE, Approval, Job
from domain.jobs.job_callbacks import Terms
from domain.work.work import Arrival, By, Start, WorkInHand

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
OWNER = By("ada", NOW)
WORKER = By("worker-1", NOW)
START = Start("work-1", 600)
TERMS = Terms(dict.fromkeys(WorkType, 600.0), lambda: "new-id")
ON_TIME = Arrival(stored_at=NOW, now=NOW, older_outstanding=False, reorder_s=60)
MAYBE_EARLY = replace(ON_TIME, older_outstanding=True)

_DISPATCHED = frozenset(JobState) - {JobState.CREATED, JobState.UPLOADED}


def a_job(status: JobState = JobState.CREATED) -> Job:
    """A job as it would be after the straight way to *status*, with an approved instruction where it was rendered."""
    job = Job("job-1", "project-1", "ada", "A title", status, 7, NOW - SECOND, NOW - SECOND)
    if status is JobState.CREATED:
        return job
    job = replace(job, video_uri="s3://videos/1")
    if status in _DISPATCHED:
        job = replace(job, dispatch_attempt=1, last_sequence=2)
    if status in {JobState.AWAITING_APPROVAL, JobState.RENDERING, JobState.READY, JobState.DONE}:
        job = replace(job, instruction_id="instruction-1", instruction_version=1)
    if status in {JobState.RENDERING, JobState.READY, JobState.DONE}:
        job = replace(job, approval=Approval("ada", NOW, 1), dispatch_attempt=2)
    if (work := WORK_OF_STATE.get(status)) is not None:
        job = replace(job, work=WorkInHand("work-0", work, NOW + 10 * SECOND))
    return job


@dataclass(frozen=True, slots=True)
class ASegment:
    start_ms: int
    end_ms: int
    text: str = "words"


@dataclass(frozen=True, slots=True)
class AScene:
    scene: int
    text: str = "a picture"
    duration_s: float = 1.5
    image_url: str | None = None


@dataclass(frozen=True, slots=True)
class ABlock:
    block_id: str
    type: str = "step"
    text: str = "do it"


@dataclass(frozen=True, slots=True)
class ADraft:
    blocks: Sequence[ABlock]


@dataclass(frozen=True, slots=True)
class Artifacts:
    transcript: Sequence[ASegment] | None = None
    storyboard: Sequence[AScene] | None = None
    instruction: ADraft | None = None
    video_url: str | None = None


@dataclass(frozen=True, slots=True)
class AFailure:
    code: str
    message: str
    retryable: bool


_events = count(1)


@dataclass(frozen=True, slots=True)
class Report:
    """A ``job.status`` with an event id of its own."""

    status: JobState
    sequence: int
    attempt: int | None = None
    progress: float | None = None
    checkpoint: JsonValue = None
    cost_usd_micros: int | None = None
    artifacts: Artifacts | None = None
    failure: AFailure | None = None
    event_id: str = field(default_factory=lambda: f"event-{next(_events)}")
