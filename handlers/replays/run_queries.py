"""Questions about runs and replays."""

from typing import Final

import orjson

from contracts.errors import JsonObject
from contracts.payloads.operations import failures as asked
from contracts.values.times import format_micros
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor
from handlers.effects import Context
from storage.journal.ops_runs import Run, RunFilter
from storage.journal.replay_runs import ReplayCounts, ReplayItem
from storage.unit_of_work import UnitOfWork

_DEAD_LETTERS: Final = "dead-letters"


def list_runs(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``runs``: newest first."""
    wanted = payload_of(command, asked.Runs)
    mark = read_cursor("runs", wanted.cursor, int, str)
    filtered = RunFilter(wanted.run_id, wanted.operation, wanted.status, wanted.since)
    before = None if mark is None else (int(mark[0]), str(mark[1]))
    rows = uow.ops_runs.page(filtered, before=before, limit=wanted.limit + 1)

    def place(run: Run) -> str:
        return cursor("runs", run.started_at, run.run_id)

    return ok(page(rows, wanted.limit, run_view, place, context))


def run_view(run: Run) -> JsonObject:
    return {
        "run_id": run.run_id,
        "operation": run.operation,
        "parameters": orjson.loads(run.parameters),
        "principal": run.principal,
        "trace_id": run.trace_id,
        "status": run.status,
        "started_at": format_micros(run.started_at),
        "ended_at": None if run.ended_at is None else format_micros(run.ended_at),
        "result": None if run.result is None else orjson.loads(run.result),
        "error": None if run.error is None else orjson.loads(run.error),
        "daemon": run.daemon,
    }


def replay_status(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``replay-status``: counts, and the items in the order in which they go out."""
    wanted = payload_of(command, asked.ReplayStatus)
    mark = read_cursor("replay", wanted.cursor, str, str)
    run, replay = uow.ops_runs.get(wanted.run_id), uow.replay_runs.get(wanted.run_id)
    if run is None or replay is None:
        return refuse(NOT_FOUND)
    after = None if mark is None else (str(mark[0]), str(mark[1]))
    rows = uow.replay_runs.page(wanted.run_id, after=after, limit=wanted.limit + 1)
    counts = uow.replay_runs.counts(wanted.run_id)
    items = page(rows, wanted.limit, item_view, lambda item: cursor("replay", *item.mark), context)
    return ok({"run_id": run.run_id, "status": run.status, **summary(counts, discards=is_discard(run)), **items})


def is_discard(run: Run) -> bool:
    """Whether the items of a run are discarded, not replayed."""
    return run.operation == _DEAD_LETTERS and orjson.loads(run.parameters).get("action") == asked.LetterAction.DISCARD


def summary(counts: ReplayCounts, *, discards: bool = False) -> JsonObject:
    """The counts as answers and results have them."""
    if discards:
        return {"requested": counts.requested, "discarded": counts.discarded, "skipped": counts.skipped}
    return {
        "requested": counts.requested,
        "replayed": counts.replayed,
        "skipped": counts.skipped,
        "still_failed": counts.still_failed,
    }


def item_view(item: ReplayItem) -> JsonObject:
    """An item of a replay; without an outcome it waits (no number yet) or is in flight."""
    view: JsonObject = {"id": item.item_id, "replay_number": item.replay_number, "outcome": item.outcome}
    return view if item.reason is None else view | {"reason": item.reason}
