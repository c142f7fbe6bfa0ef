"""The public view of a run that goes on, for the status bucket: key ``run.<run_id>``."""

from typing import Final

import orjson

from contracts.errors import JsonObject
from contracts.values.times import format_micros
from handlers.replays.run_queries import is_discard, summary
from storage.journal.ops_runs import RUNNING, Run
from storage.unit_of_work import UnitOfWork

_FINAL_VERSION: Final = 2**53 - 1
"""An ended run stays as it is: nothing is newer. While it runs, its version is its age in milliseconds."""
_MICROS_PER_MS: Final = 1_000


def run_status(run_id: str, uow: UnitOfWork, *, now: int) -> JsonObject | None:
    """How the run stands, with its counts; None where there is none."""
    run = uow.ops_runs.get(run_id)
    if run is None:
        return None
    ended = run.status != RUNNING
    view: JsonObject = {
        "run_id": run.run_id,
        "operation": run.operation,
        "status": run.status,
        **_counts(run, uow),
        "started_at": format_micros(run.started_at),
        "version": _FINAL_VERSION if ended else 1 + max(0, now - run.started_at) // _MICROS_PER_MS,
    }
    return view if run.ended_at is None else {**view, "ended_at": format_micros(run.ended_at)}


def _counts(run: Run, uow: UnitOfWork) -> JsonObject:
    """What the run keeps count of: the items of a replay, else the whole numbers of its result so far."""
    if uow.replay_runs.get(run.run_id) is not None:
        return summary(uow.replay_runs.counts(run.run_id), discards=is_discard(run))
    result = None if run.result is None else orjson.loads(run.result)
    if not isinstance(result, dict):
        return {}
    return {name: value for name, value in result.items() if isinstance(value, int) and not isinstance(value, bool)}
