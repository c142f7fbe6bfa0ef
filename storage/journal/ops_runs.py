"""The audit of operations: a row before the operation acts, completed after it, also when it failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, Insert, Select, Update, bindparam, insert, literal_column, select, tuple_, update

from contracts.errors import JsonObject, JsonValue
from storage.tables.journal import ops_runs

RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
ABORTED: Final = "aborted"


@dataclass(frozen=True, slots=True)
class NewRun:
    """An operation that is about to act. Times are microseconds since the epoch."""

    run_id: str
    operation: str
    parameters: JsonValue
    principal: str
    trace_id: str | None
    daemon: str
    started_at: int


class Run(NamedTuple):
    """A run as it is stored: parameters, result and error are JSON text."""

    run_id: str
    operation: str
    parameters: str
    principal: str
    trace_id: str | None
    status: str
    started_at: int
    ended_at: int | None
    result: str | None
    error: str | None
    daemon: str | None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are meant; None says nothing. ``since`` is inclusive."""

    run_id: str | None = None
    operation: str | None = None
    status: str | None = None
    since: int | None = None


class OpsRuns:
    """The ``ops_runs`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, run: NewRun) -> None:
        """Record that *run* begins."""
        self._connection.execute(_START, _as_values(run) | {"status": RUNNING})

    def record(self, run: NewRun, *, ended_at: int, result: JsonValue = None, error: JsonObject | None = None) -> None:
        """Record a run that is over already: it succeeded unless there is an error."""
        self._connection.execute(
            _RECORD,
            _as_values(run)
            | {
                "status": SUCCEEDED if error is None else FAILED,
                "ended_at": ended_at,
                "result": orjson.dumps(result).decode(),
                "error": None if error is None else orjson.dumps(error).decode(),
            },
        )

    def finish(
        self, run_id: str, *, status: str, ended_at: int, result: JsonValue = None, error: JsonObject | None = None
    ) -> bool:
        """End a running run; ``False`` when it is not running any more."""
        values = {
            "wanted": run_id,
            "status": status,
            "ended_at": ended_at,
            "result": orjson.dumps(result).decode(),
            "error": None if error is None else orjson.dumps(error).decode(),
        }
        return self._connection.execute(_FINISH, values).rowcount == 1

    def is_held(self, run_id: str, *, daemon: str) -> bool:
        """Whether the run goes on and is *daemon*'s: asked inside each transaction that works on it.

        The row stays locked until that transaction ends, so that nobody takes the run over in between.
        """
        row = self._connection.execute(_HELD, {"wanted": run_id, "holder": daemon}).one_or_none()
        return row is not None

    def record_progress(self, run_id: str, result: JsonValue) -> None:
        """Keep how far a running run has come, in the place of its result."""
        values = {"wanted": run_id, "result": orjson.dumps(result).decode()}
        self._connection.execute(_NOTE, values)

    def take_over(self, run_id: str, *, former: str | None, daemon: str) -> bool:
        """Become the holder of a run of *former*; ``False`` where it has ended or another was quicker."""
        statement = _TAKE_OVER.where(ops_runs.c.daemon.is_not_distinct_from(former))
        return self._connection.execute(statement, {"wanted": run_id, "holder": daemon}).rowcount == 1

    def get(self, run_id: str) -> Run | None:
        row = self._connection.execute(_GET, {"wanted": run_id}).one_or_none()
        return None if row is None else Run(*row)

    def last_of(self, operation: str, *, principal: str) -> Run | None:
        """The run of an operation that *principal* started last."""
        row = self._connection.execute(_LAST_OF, {"operation": operation, "principal": principal}).one_or_none()
        return None if row is None else Run(*row)

    def running(self) -> list[Run]:
        """Everything that goes on, by whichever daemon."""
        return [Run(*row) for row in self._connection.execute(_RUNNING)]

    def page(self, wanted: RunFilter, *, before: tuple[int, str] | None, limit: int) -> Sequence[Run]:
        """Newest first, from *before* (started_at, run_id) on."""
        run = ops_runs.c
        statement = select(*_ALL)
        for column, value in ((run.run_id, wanted.run_id), (run.operation, wanted.operation)):
            if value is not None:
                statement = statement.where(column == value)
        if wanted.status is not None:
            statement = statement.where(run.status == wanted.status)
        if wanted.since is not None:
            statement = statement.where(run.started_at >= wanted.since)
        if before is not None:
            statement = statement.where(tuple_(run.started_at, run.run_id) < tuple_(*before))
        statement = statement.order_by(run.started_at.desc(), run.run_id.desc()).limit(limit)
        return [Run(*row) for row in self._connection.execute(statement)]


def _as_values(run: NewRun) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "operation": run.operation,
        "parameters": orjson.dumps(run.parameters).decode(),
        "principal": run.principal,
        "trace_id": run.trace_id,
        "daemon": run.daemon,
        "started_at": run.started_at,
    }


_START: Final[Insert] = insert(ops_runs)
_RECORD: Final[Insert] = insert(ops_runs)
_FINISH: Final[Update] = update(ops_runs).where(ops_runs.c.run_id == bindparam("wanted"), ops_runs.c.status == RUNNING)
_IS_WANTED: Final = (ops_runs.c.run_id == bindparam("wanted")) & (ops_runs.c.status == RUNNING)
_HELD: Final = (
    select(ops_runs.c.run_id).where(_IS_WANTED, ops_runs.c.daemon == bindparam("holder")).with_for_update(read=True)
)
_NOTE: Final[Update] = update(ops_runs).where(_IS_WANTED)
_TAKE_OVER: Final[Update] = update(ops_runs).where(_IS_WANTED).values(daemon=bindparam("holder"))
_ALL: Final = tuple(ops_runs.c[name] for name in Run._fields)
_GET: Final[Select[*tuple[Any, ...]]] = select(*_ALL).where(ops_runs.c.run_id == bindparam("wanted"))
_LAST_OF: Final[Select[*tuple[Any, ...]]] = (
    select(*_ALL)
    .where(ops_runs.c.operation == bindparam("operation"), ops_runs.c.principal == bindparam("principal"))
    .order_by(ops_runs.c.started_at.desc(), ops_runs.c.run_id.desc())
    .limit(1)
)
_RUNNING: Final[Select[*tuple[Any, ...]]] = (
    select(*_ALL).where(ops_runs.c.status == literal_column(f"'{RUNNING}'")).order_by(ops_runs.c.started_at)
)
