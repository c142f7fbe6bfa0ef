"""``replay-failed`` and ``replay-abort``: run again what failed, or stop doing so."""

from functools import partial
from typing import Final

import anyio

from contracts.errors import ErrorCode, JsonObject, problem
from contracts.payloads.operations.failures import ReplayAbort, ReplayFailed
from contracts.values.states import RunStatus
from contracts.values.times import format_micros
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audited import GOES_ON
from daemon.runs.replaying import Replaying
from daemon.runs.runs import Runs, RunWorker
from daemon.runs.selecting import Preview, Selecting, targets_of
from domain.dead_letters.dead_letters import Skipped
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.replays.run_queries import is_discard, item_view, summary
from storage.engine.database import Database
from storage.journal.ops_runs import NewRun
from storage.journal.replay_runs import ReplayCounts
from storage.unit_of_work import UnitOfWork

_PATIENCE_S: Final = 5.0
_LOOK_S: Final = 0.05


class ReplayFailedOperation:
    """Freezes the selection and lets the run go on in the daemon; a dry run only tells it."""

    def __init__(self, selecting: Selecting, runs: Runs) -> None:
        self._selecting = selecting
        self._runs = runs

    async def __call__(self, command: Command, run: NewRun) -> Reply:
        wanted = payload_of(command, ReplayFailed)
        targets = targets_of(wanted)
        if wanted.dry_run:
            found = await self._selecting.preview(wanted, targets, frozen_at=run.started_at, limit=wanted.limit)
            return ok(previewed(found, frozen_at=run.started_at))
        requested = await self._selecting.select(
            run.run_id, wanted, targets, frozen_at=run.started_at, limit=wanted.limit
        )
        self._runs.begin(run.run_id)
        return Reply(GOES_ON, {"requested": requested})


def previewed(found: Preview, *, frozen_at: int) -> JsonObject:
    """The answer of a dry run. Nothing is sent, so everything is skipped. ``frozen_at``, given back as ``until``, names
    the same selection: what fails later is not in it."""
    return {
        **summary(ReplayCounts(found.requested, 0, found.requested, 0)),
        "dry_run": True,
        "frozen_at": format_micros(frozen_at + 1),
        "items": [*map(item_view, found.items)],
        "next_cursor": None,
    }


class ReplayAbortOperation:
    """Stops a run, whichever daemon works on it. What was sent is still decided on, so the counts add up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, command: Command, run: NewRun) -> Reply:  # noqa: ARG002 - the shape of an operation
        run_id = payload_of(command, ReplayAbort).run_id
        refused = await self._database.write(lambda uow: _stop(uow, run_id))
        if refused is not None:
            return refused
        deadline = anyio.current_time() + _PATIENCE_S
        stand = await self._database.read(partial(_stand, run_id))
        while stand["status"] == RunStatus.RUNNING and anyio.current_time() < deadline:
            await anyio.sleep(_LOOK_S)
            stand = await self._database.read(partial(_stand, run_id))
        return ok(stand)


def _stand(run_id: str, uow: UnitOfWork) -> JsonObject:
    run, counts = uow.ops_runs.get(run_id), uow.replay_runs.counts(run_id)
    discards = run is not None and is_discard(run)
    return {"run_id": run_id, "status": None if run is None else run.status, **summary(counts, discards=discards)}


def _stop(uow: UnitOfWork, run_id: str) -> Reply | None:
    run = uow.ops_runs.get(run_id)
    if run is None or uow.replay_runs.get(run_id) is None:
        return refuse(NOT_FOUND)
    if run.status not in (RunStatus.RUNNING, RunStatus.ABORTED):
        return refuse(problem(ErrorCode.INVALID_STATE, f"the run has {run.status}"))
    if run.status == RunStatus.RUNNING:
        uow.replay_runs.stop(run_id, Skipped.ABORTED)
    return None


def make(context: OperationContext) -> ServedOperation:
    """``replay-failed``, and who works on its runs."""
    replaying = Replaying(context.database, context=context.context, wake=context.wake)
    operation = ReplayFailedOperation(replaying.selecting, context.runs)
    return ServedOperation(context.audited(operation), RunWorker(replaying.work, resumable=True))


def make_abort(context: OperationContext) -> ServedOperation:
    """``replay-abort``."""
    return ServedOperation(context.audited(ReplayAbortOperation(context.database)))
