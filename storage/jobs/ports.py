"""What handlers may ask about projects, jobs, instructions and tasks. They know these protocols, never the tables."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from contracts.errors import JsonObject, JsonValue
from contracts.values.states import JobState
from domain.jobs.job import AuditEvent, Job
from domain.jobs.job_callbacks import SceneFacts, Transcript
from domain.work.tasks import Task

Owned: TypeAlias = tuple[str, str]
"""(id, owner): a thing among its owner's."""


class Project(NamedTuple):
    """A project. ``created_at`` is microseconds since the epoch."""

    project_id: str
    owner: str
    name: str
    created_at: int


class ProjectRepository(Protocol):
    """Projects, always looked for among their owner's."""

    def add(self, projects: Sequence[Project]) -> None: ...

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Project]:
        """Those of *wanted* that are there and belong to the owner named with them."""
        ...

    def page(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        """The owner's projects, newest first, from the one after the id *before* on."""
        ...


class StoredEvent(Struct, frozen=True):
    """An audit event and the trace that it belongs to."""

    event: AuditEvent
    trace_id: str


class JobRepository(Protocol):
    """Jobs and the record of their transitions."""

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Job]:
        """Those of *wanted* that belong to the owner named with them, locked until the transaction ends."""
        ...

    def locked(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        """Jobs of all owners, locked until the transaction ends."""
        ...

    def retries_of(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        """The job that was made by retrying each of *job_ids*, by the id of the failed one."""
        ...

    def get(self, job_id: str, *, owner: str) -> Job | None:
        """One job among its owner's, to look at: without the work in hand."""
        ...

    def page(
        self, project_id: str, *, owner: str, status: JobState | None, before: str | None, limit: int
    ) -> Sequence[Job]:
        """Jobs of a project, newest first, from the one after the id *before* on."""
        ...

    def add(self, jobs: Sequence[Job]) -> None: ...

    def save(self, jobs: Sequence[Job]) -> None:
        """Write changed jobs. Raises :class:`~storage.engine.failures.StorageConflict` where one has gone on."""
        ...

    def add_events(self, events: Sequence[StoredEvent]) -> None: ...

    def history(self, job_id: str, *, before: int | None, limit: int) -> Sequence[AuditEvent]:
        """Audit events, newest first, from the one after the version *before* on."""
        ...


class SegmentKey(NamedTuple):
    """Where a segment stands in its transcript."""

    start_ms: int
    end_ms: int
    ordinal: int


class Segment(NamedTuple):
    start_ms: int
    end_ms: int
    ordinal: int
    text: str

    @property
    def key(self) -> SegmentKey:
        return SegmentKey(self.start_ms, self.end_ms, self.ordinal)


class Scene(NamedTuple):
    scene: int
    duration_s: float
    image_url: str | None
    text: str


class ArtifactRepository(Protocol):
    """What workers made of jobs: transcripts and storyboards."""

    def put_transcripts(self, parts: Sequence[tuple[str, Transcript]]) -> None:
        """Take in parts of transcripts in order, each with the id of its job."""
        ...

    def put_scenes(self, scenes: Mapping[str, Sequence[SceneFacts]]) -> None:
        """Take in scenes by job; they replace those of the same number."""
        ...

    def segments(self, job_id: str, *, after: SegmentKey | None, limit: int) -> Sequence[Segment]:
        """A part of a transcript in its order."""
        ...

    def scenes(self, job_ids: Sequence[str]) -> Mapping[str, Sequence[Scene]]:
        """The storyboards of those jobs that have one."""
        ...

    def copy(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Give jobs the transcript and storyboard of others: pairs of (from, to)."""
        ...


class TaskKey(NamedTuple):
    """By what the same request for a task is known again."""

    type: str
    subject_id: str
    request_key: str


class TaskRecord(Struct, frozen=True):
    """A task with what was asked and what came of it. ``request_key`` is by what the same request is known again,
    ``reported`` what a worker brought and is not proven yet."""

    task: Task
    subject_id: str
    request: JsonObject
    trace_id: str
    request_key: str | None = None
    result: JsonValue = None
    provenance: JsonValue = None
    reported: JsonValue = None

    @property
    def key(self) -> TaskKey | None:
        return None if self.request_key is None else TaskKey(self.task.type, self.subject_id, self.request_key)


class TaskRepository(Protocol):
    """Tasks."""

    def get(self, task_id: str, *, owner: str) -> TaskRecord | None:
        """One task among its owner's, to look at."""
        ...

    def locked(self, task_ids: Sequence[str]) -> Mapping[str, TaskRecord]:
        """Tasks of all owners, locked until the transaction ends."""
        ...

    def requested(self, keys: Sequence[TaskKey]) -> Mapping[TaskKey, TaskRecord]:
        """Those of *keys* that were asked for before, locked until the transaction ends."""
        ...

    def unproven(self, *, limit: int) -> Sequence[TaskRecord]:
        """Tasks whose reports are still to be proven, the oldest first."""
        ...

    def put(self, records: Sequence[TaskRecord]) -> None:
        """Keep new tasks and changed ones."""
        ...
