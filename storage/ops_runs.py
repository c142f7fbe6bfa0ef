"""The audit of operations: a row before the operation acts, completed after it, also when it failed."""

from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection, Insert, Update, bindparam, insert, update

from contracts.errors import JsonObject, JsonValue
from storage.tables.journal import ops_runs

RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"


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
