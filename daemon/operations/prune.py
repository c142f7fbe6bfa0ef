"""``prune``: removes what is older than its retention, in small transactions beside everything else."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import structlog

from adapters.errors import AdapterError
from adapters.nats.object_store import ObjectStore
from contracts.errors import JsonObject
from contracts.values.times import MICROS_PER_DAY
from daemon.assets.asset_sweeper import AssetSweeper
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audited import GOES_ON
from daemon.runs.runs import Runs, RunWorker, hold
from daemon.transactions import committed
from handlers.commands.command import Command, Reply
from storage.engine.database import Database
from storage.journal.ops_runs import SUCCEEDED, NewRun, Run
from storage.journal.retention import INBOX, RETENTIONS, Key, Retention, Window
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

OPERATION: Final = "prune"
_ROWS: Final = 2_000
_PAUSE_S: Final = 0.005
"""Between two transactions that removed something: intake goes first."""


RemoveBytes: TypeAlias = Callable[[], Awaitable[int]]
"""Removes the bytes that no row names any more; of how many objects."""


@dataclass(frozen=True, slots=True)
class PruneTerms:
    """Days by the setting of a table; 0 keeps its rows for ever."""

    days: Mapping[str, int]


class PruneOperation:
    """Answers at once; the run goes on in the daemon."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def __call__(self, command: Command, run: NewRun) -> Reply:  # noqa: ARG002 - the shape of an operation
        self._runs.begin(run.run_id)
        return Reply(GOES_ON, {})


class Pruner:
    """Works on the runs of the operation."""

    def __init__(
        self,
        database: Database,
        terms: PruneTerms,
        *,
        daemon_id: str,
        clock: Callable[[], int],
        retentions: tuple[Retention, ...] = tuple(RETENTIONS),
        rows: int = _ROWS,
        remove_bytes: RemoveBytes | None = None,
    ) -> None:
        self._database = database
        self._terms = terms
        self._daemon_id = daemon_id
        self._clock = clock
        self._retentions = retentions
        self._rows = rows
        self._remove_bytes = remove_bytes

    async def work(self, run: Run) -> None:
        """Prune every table that has a retention; then end the run. Raises :class:`daemon.runs.runs.RunLost`."""
        removed: JsonObject = {}
        for retention in self._retentions:
            days = self._terms.days.get(retention.setting, 0)
            if days > 0:
                before = run.started_at - days * MICROS_PER_DAY
                removed[str(retention.table.name)] = await self._prune(retention, before, run.run_id)
        if self._remove_bytes is not None:
            removed["objects"] = await self._without_names(self._remove_bytes)
        await committed(self._database, lambda uow: self._finish(uow, run.run_id, removed))
        log.info("pruned", run_id=run.run_id, **removed)

    async def _without_names(self, remove_bytes: "RemoveBytes") -> int | None:
        """How many objects went; None where the store is away: the sweep goes on by itself once it is back."""
        try:
            return await remove_bytes()
        except AdapterError as error:
            log.warning("objects_not_pruned", reason=str(error))
            return None

    async def _prune(self, retention: Retention, before: int, run_id: str) -> int:
        """How many rows went."""
        start: Key | None = None
        removed = 0
        while True:
            window = await committed(self._database, partial(self._look, retention, start, before), reading=True)
            if window.old:
                removed += await committed(self._database, partial(self._remove, retention, window, before, run_id))
                await asyncio.sleep(_PAUSE_S)
            if window.end is None:
                return removed
            start = window.end

    def _look(self, retention: Retention, start: Key | None, before: int, uow: UnitOfWork) -> Window:
        return uow.pruning(retention).window(start, before=before, rows=self._rows)

    def _remove(self, retention: Retention, window: Window, before: int, run_id: str, uow: UnitOfWork) -> int:
        hold(uow, run_id, daemon=self._daemon_id)
        return uow.pruning(retention).remove(window, before=before)

    def _finish(self, uow: UnitOfWork, run_id: str, removed: JsonObject) -> None:
        hold(uow, run_id, daemon=self._daemon_id)
        result: JsonObject = {"removed": removed}
        uow.ops_runs.finish(run_id, status=SUCCEEDED, ended_at=self._clock(), result=result)


def make(context: OperationContext) -> ServedOperation:
    """The operation, by the retention of the settings."""
    settings = context.settings
    terms = PruneTerms({**settings.retention.days(), INBOX: settings.storage.inbox_days})
    store = ObjectStore(context.nc, context.subjects.assets_bucket)
    sweeper = AssetSweeper(context.database, store, clock=context.clock)
    pruner = Pruner(
        context.database,
        terms,
        daemon_id=context.daemon_id,
        clock=context.clock,
        remove_bytes=sweeper.remove_all_unnamed,
    )
    return ServedOperation(context.audited(PruneOperation(context.runs)), RunWorker(pruner.work, resumable=False))
