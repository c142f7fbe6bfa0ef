"""Tasks: work on a document or a video that was asked for once."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

import orjson
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, bindparam, select

from contracts.errors import JsonObject, JsonValue
from contracts.values.states import TaskState
from contracts.values.work import WorkType
from domain.work.tasks import Task
from storage.engine.batches import BatchRows, Scalar, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failure_text import failure_text, read_failure
from storage.tables.jobs import tasks
from storage.work.work import WorkRecord, WorkRepository, work_in_hand


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

    def upsert(self, records: Sequence[TaskRecord]) -> None:
        """Keep new tasks and changed ones."""
        ...


class SqlTaskRepository:
    """``tasks``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def get(self, task_id: str, *, owner: str) -> TaskRecord | None:
        row = self._connection.execute(_GET, {"task_id": task_id, "owner": owner}).one_or_none()
        return None if row is None else _record(row, None)

    def locked(self, task_ids: Sequence[str]) -> Mapping[str, TaskRecord]:
        found = self._found(("task_id",), [(task_id,) for task_id in task_ids])
        return {record.task.task_id: record for record in found}

    def requested(self, keys: Sequence[TaskKey]) -> Mapping[TaskKey, TaskRecord]:
        return {record.key: record for record in self._found(TaskKey._fields, keys) if record.key is not None}

    def unproven(self, *, limit: int) -> Sequence[TaskRecord]:
        return [_record(row, None) for row in self._connection.execute(_UNPROVEN, {"limit": limit})]

    def _found(self, names: tuple[str, ...], wanted: Sequence[tuple[str, ...]]) -> list[TaskRecord]:
        """The work is asked for once the tasks are locked: before that it may still change."""
        if not wanted:
            return []
        rows = list(self._connection.execute(_locked(self._dialect, names), as_parameter(wanted)))
        work = WorkRepository(self._connection).get_many([row.work_id for row in rows if row.work_id is not None])
        return [_record(row, work.get(row.work_id)) for row in rows]

    def upsert(self, records: Sequence[TaskRecord]) -> None:
        if records:
            rows = [_as_row(record) for record in sorted(records, key=lambda record: record.task.task_id)]
            execute_change(self._connection, _put(self._dialect), as_parameter(rows))


_NEVER_CHANGING: Final = ("task_id", "type", "owner", "subject_id", "request_key", "request", "trace_id", "created_at")
_CHANGING: Final = (
    "status", "version", "attempt", "last_sequence", "work_id", "result", "error", "provenance", "updated_at",
    "reported",
)  # fmt: skip
_ALL: Final = tuple(tasks.c[name] for name in (*_NEVER_CHANGING, *_CHANGING))
_GET: Final = select(*_ALL).where(tasks.c.task_id == bindparam("task_id"), tasks.c.owner == bindparam("owner"))


def _as_row(record: TaskRecord) -> tuple[Scalar, ...]:
    task = record.task
    return (
        task.task_id, task.type, task.owner, record.subject_id, record.request_key, _json(record.request),
        record.trace_id, task.created_at, task.status, task.version, task.attempt, task.last_sequence,
        None if task.work is None else task.work.work_id, _json(record.result), failure_text(task.error),
        _json(record.provenance), task.updated_at, _json(record.reported),
    )  # fmt: skip


def _json(value: JsonValue) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _read(text: str | None) -> JsonValue:
    value: JsonValue = None if text is None else orjson.loads(text)
    return value


def _record(row: Row[*tuple[Any, ...]], work: WorkRecord | None) -> TaskRecord:
    task = Task(
        task_id=row.task_id,
        type=WorkType(row.type),
        owner=row.owner,
        status=TaskState(row.status),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        attempt=row.attempt,
        last_sequence=row.last_sequence,
        work=work_in_hand(work),
        error=read_failure(row.error),
    )
    return TaskRecord(
        task=task,
        subject_id=row.subject_id,
        request=orjson.loads(row.request),
        trace_id=row.trace_id,
        request_key=row.request_key,
        result=_read(row.result),
        provenance=_read(row.provenance),
        reported=_read(row.reported),
    )


# Spelt as the partial index has it: only so can the planner see that it serves.
_UNPROVEN: Final = (
    select(*_ALL).where(tasks.c.reported.is_not(None)).order_by(tasks.c.task_id).limit(bindparam("limit"))
)


@cache
def _locked(dialect: str, names: tuple[str, ...]) -> Select[*tuple[Any, ...]]:
    batch = BatchRows(dialect, tasks, names)
    found = select(*_ALL).select_from(batch.source.join(tasks, batch.same)).order_by(tasks.c.task_id)
    return found.with_for_update(of=tasks)


@cache
def _put(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, tasks, (*_NEVER_CHANGING, *_CHANGING))
    return statement.on_conflict_do_update(
        index_elements=["task_id"], set_={name: statement.excluded[name] for name in _CHANGING}
    )
