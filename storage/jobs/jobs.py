"""Jobs and the record of their transitions.

Whoever changes a job loads it locked, so that two daemons decide on one job one after the other; the write then only
has to see to it that a version never goes back.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol

import orjson
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, Update, and_, bindparam, case, exists, select, true, update

from contracts.values.states import JobState
from domain.jobs.job import Approval, AuditEvent, Job
from storage.engine.answers import Answer, AnswerRow
from storage.engine.batches import BatchRows, Scalar, UpsertInsert, as_parameter, insert_into, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failure_text import failure_text, read_failure
from storage.engine.failures import StorageConflict
from storage.jobs.projects import Owned
from storage.tables.jobs import job_events, jobs
from storage.work.work import WorkRecord, WorkRepository, work_in_hand


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


class SqlJobRepository:
    """``jobs`` and ``job_events``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Job]:
        return self._locked(_owned(self._dialect), wanted)

    def locked(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        return self._locked(_by_id(self._dialect), [(job_id,) for job_id in job_ids])

    def _locked(self, answer: Answer, wanted: Sequence[tuple[str, ...]]) -> Mapping[str, Job]:
        """The work is asked for once the jobs are locked: before that it may still change."""
        if not wanted:
            return {}
        found = answer.rows(self._connection, as_parameter(wanted))
        work = WorkRepository(self._connection).get_many([row.work_id for row in found if row.work_id is not None])
        return {row.job_id: job_of_row(row, work.get(row.work_id)) for row in found}

    def retries_of(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        if not job_ids:
            return {}
        rows = _retries(self._dialect).rows(self._connection, as_parameter([(job_id,) for job_id in job_ids]))
        return {row.retry_of: job_of_row(row, None) for row in rows}

    def get(self, job_id: str, *, owner: str) -> Job | None:
        row = self._connection.execute(_GET, {"job_id": job_id, "owner": owner}).one_or_none()
        return None if row is None else job_of_row(row, None)

    def page(
        self, project_id: str, *, owner: str, status: JobState | None, before: str | None, limit: int
    ) -> Sequence[Job]:
        wanted = {"project_id": project_id, "owner": owner, "status": status, "before": before, "limit": limit}
        rows = self._connection.execute(_page(status is not None, before is not None), wanted)
        return [job_of_row(row, None) for row in rows]

    def add(self, jobs: Sequence[Job]) -> None:
        if jobs:
            execute_change(self._connection, _add(self._dialect), as_parameter([_as_row(job) for job in jobs]))

    def save(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        rows = [_changing(job) for job in sorted(jobs, key=lambda job: job.job_id)]
        if execute_change(self._connection, _save(self._dialect), as_parameter(rows)) != len(rows):
            raise StorageConflict("another daemon changed the same job meanwhile")

    def add_events(self, events: Sequence[StoredEvent]) -> None:
        if events:
            execute_change(self._connection, _add_events(self._dialect), as_parameter(_event_rows(events)))

    def history(self, job_id: str, *, before: int | None, limit: int) -> Sequence[AuditEvent]:
        wanted = {"job_id": job_id, "before": before, "limit": limit}
        return [_event(row) for row in self._connection.execute(_history(before is not None), wanted)]


_NEVER_CHANGING: Final = (
    "job_id", "project_id", "owner", "title", "objective", "script_id", "prompt", "estimated_cost_usd_micros",
    "retry_of", "attempt", "created_at",
)  # fmt: skip
_CHANGING: Final = (
    "status", "version", "video_uri", "video_url", "progress", "actual_cost_usd_micros", "instruction_id",
    "instruction_version", "approved_by", "approved_at", "approved_version", "work_id", "dispatch_attempt",
    "last_sequence", "updated_at", "approval_note", "error", "checkpoint",
)  # fmt: skip
_HISTORY_COLUMNS: Final = ("job_id", "version", "actor", "what", "at", "from_state", "to_state", "details")
"""What a job's history is read from."""
_EVENT_COLUMNS: Final = (*_HISTORY_COLUMNS, "trace_id", "starts_trace")
"""What is written of an event: the story of a trace is read from the rest."""
JOB_COLUMNS: Final = tuple(jobs.c[name] for name in (*_NEVER_CHANGING, *_CHANGING))
_GET: Final = select(*JOB_COLUMNS).where(jobs.c.job_id == bindparam("job_id"), jobs.c.owner == bindparam("owner"))


def _as_row(job: Job) -> tuple[Scalar, ...]:
    return (
        job.job_id, job.project_id, job.owner, job.title, job.objective, job.script_id, job.prompt,
        job.estimated_cost_usd_micros, job.retry_of, job.attempt, job.created_at, *_changing(job)[1:],
    )  # fmt: skip


def _changing(job: Job) -> tuple[Scalar, ...]:
    """The id and all that may change."""
    approval = job.approval
    approved = (None, None, None) if approval is None else (approval.by, approval.at, approval.version)
    return (
        job.job_id, job.status, job.version, job.video_uri, job.video_url, float(job.progress),
        job.actual_cost_usd_micros, job.instruction_id, job.instruction_version, *approved,
        None if job.work is None else job.work.work_id, job.dispatch_attempt, job.last_sequence, job.updated_at,
        None if approval is None else approval.note, failure_text(job.error),
        None if job.checkpoint is None else orjson.dumps(job.checkpoint).decode(),
    )  # fmt: skip


def job_of_row(row: AnswerRow, work: WorkRecord | None = None) -> Job:
    """The job of a row with :data:`JOB_COLUMNS`, and with the work in hand where that was asked for."""
    approval = None
    if row.approved_version is not None:
        approval = Approval(row.approved_by, row.approved_at, row.approved_version, row.approval_note)
    return Job(
        job_id=row.job_id,
        project_id=row.project_id,
        owner=row.owner,
        title=row.title,
        status=JobState(row.status),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        objective=row.objective,
        script_id=row.script_id,
        prompt=row.prompt,
        video_uri=row.video_uri,
        video_url=row.video_url,
        progress=row.progress,
        checkpoint=None if row.checkpoint is None else orjson.loads(row.checkpoint),
        estimated_cost_usd_micros=row.estimated_cost_usd_micros,
        actual_cost_usd_micros=row.actual_cost_usd_micros,
        error=read_failure(row.error),
        retry_of=row.retry_of,
        attempt=row.attempt,
        instruction_id=row.instruction_id,
        instruction_version=row.instruction_version,
        approval=approval,
        work=work_in_hand(work),
        dispatch_attempt=row.dispatch_attempt,
        last_sequence=row.last_sequence,
    )


def _event_rows(events: Sequence[StoredEvent]) -> Iterator[tuple[Scalar, ...]]:
    """The last cell is 1 where among *events* the first of its job and trace is: only that may begin the trace."""
    met: set[tuple[str, str]] = set()
    for stored in events:
        pair = (stored.event.job_id, stored.trace_id)
        yield *_event_row(stored), int(pair not in met)
        met.add(pair)


def _event_row(stored: StoredEvent) -> tuple[Scalar, ...]:
    event = stored.event
    details = orjson.dumps(dict(event.details)).decode()
    return (
        event.job_id, event.version, event.actor, event.what, event.at, event.from_state, event.to_state, details,
        stored.trace_id,
    )  # fmt: skip


def _event(row: Row[*tuple[Any, ...]]) -> AuditEvent:
    return AuditEvent(
        row.job_id,
        row.version,
        row.actor,
        row.what,
        row.at,
        JobState(row.from_state),
        JobState(row.to_state),
        orjson.loads(row.details),
    )


def _locking(dialect: str, *names: str) -> Answer:
    """Jobs by *names*, locked in the order of their ids, so that two daemons do not wait for each other in a circle."""
    batch = BatchRows(dialect, jobs, names)
    found = select(*JOB_COLUMNS).select_from(batch.source.join(jobs, batch.same)).order_by(jobs.c.job_id)
    return Answer(dialect, found.with_for_update(of=jobs))


@cache
def _owned(dialect: str) -> Answer:
    return _locking(dialect, "job_id", "owner")


@cache
def _by_id(dialect: str) -> Answer:
    return _locking(dialect, "job_id")


@cache
def _retries(dialect: str) -> Answer:
    batch = BatchRows(dialect, jobs, ("retry_of",))
    return Answer(dialect, select(*JOB_COLUMNS).select_from(batch.source.join(jobs, batch.same)))


@cache
def _page(has_status: bool, has_before: bool) -> Select[*tuple[Any, ...]]:
    statement = select(*JOB_COLUMNS).where(
        jobs.c.project_id == bindparam("project_id"), jobs.c.owner == bindparam("owner")
    )
    if has_status:
        statement = statement.where(jobs.c.status == bindparam("status"))
    if has_before:
        statement = statement.where(jobs.c.job_id < bindparam("before"))
    return statement.order_by(jobs.c.job_id.desc()).limit(bindparam("limit"))


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, jobs, (*_NEVER_CHANGING, *_CHANGING))


@cache
def _save(dialect: str) -> Update:
    batch = BatchRows(dialect, jobs, ("job_id", *_CHANGING))
    return (
        update(jobs)
        .where(jobs.c.job_id == batch.cells["job_id"], jobs.c.version < batch.cells["version"])
        .values({name: batch.cells[name] for name in _CHANGING})
    )


@cache
def _add_events(dialect: str) -> UpsertInsert:
    batch = BatchRows(dialect, job_events, _EVENT_COLUMNS)
    earlier, cells = job_events.alias("earlier"), batch.cells
    same_trace = and_(earlier.c.job_id == cells["job_id"], earlier.c.trace_id == cells["trace_id"])
    begins = and_(cells["starts_trace"] == 1, ~exists().where(same_trace))
    columns = [cells[name] for name in _EVENT_COLUMNS[:-1]]
    rows = select(*columns, case((begins, 1), else_=0)).select_from(batch.source).where(true())
    return insert_into(dialect, job_events).from_select(list(_EVENT_COLUMNS), rows, include_defaults=False)


@cache
def _history(has_before: bool) -> Select[*tuple[Any, ...]]:
    statement = select(*(job_events.c[name] for name in _HISTORY_COLUMNS)).where(
        job_events.c.job_id == bindparam("job_id")
    )
    if has_before:
        statement = statement.where(job_events.c.version < bindparam("before"))
    return statement.order_by(job_events.c.version.desc()).limit(bindparam("limit"))
