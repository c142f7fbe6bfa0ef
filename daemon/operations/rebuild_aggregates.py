"""``rebuild-aggregates``: makes totals the sums of their records again, in small transactions beside intake.

Each part (a day, some sessions) is compared on a snapshot, which locks nobody out, and only what is wrong is written. A
correction is right once, so each step of a run holds a lease and, where its outcome is not known, compares anew.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import structlog

from contracts.errors import ErrorCode, JsonObject, problem
from contracts.payloads.operations.failures import RebuildAggregates
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audited import GOES_ON
from daemon.runs.runs import RunFailed, Runs, RunWorker, hold
from daemon.settings.model import Settings
from daemon.transactions import committed
from handlers.commands.command import Command, Reply
from handlers.ledger.aggregates import (
    AggregateScope,
    Comparison,
    compare_next_day,
    compare_next_sessions,
    correct,
)
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict
from storage.journal.leases import Lease
from storage.journal.ops_runs import SUCCEEDED, NewRun, Run
from storage.unit_of_work import UnitOfWork

Mark = TypeVar("Mark", int, str)

log = structlog.get_logger(__name__)

OPERATION: Final = "rebuild-aggregates"
_LEASE: Final = "aggregates"
_LEASE_S: Final = 120.0
_PAUSE_S: Final = 0.005
"""Between two parts: intake goes first."""
_AGAIN_S: Final = 1.0


def scope_of(settings: Settings, now: int) -> AggregateScope:
    """What has all of its records."""
    return AggregateScope.of_retention(now, (settings.retention.session_usage, settings.retention.session_events))


class RebuildOperation:
    """Answers at once; the run goes on in the daemon."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def __call__(self, command: Command, run: NewRun) -> Reply:  # noqa: ARG002 - the shape of an operation
        self._runs.begin(run.run_id)
        return Reply(GOES_ON, {})


@dataclass(slots=True)
class _Done:
    """How far a run has come."""

    days: int
    sessions: int
    corrected: Counter[str]

    def as_json(self) -> JsonObject:
        return {"days": self.days, "sessions": self.sessions, "corrected": {**self.corrected}}


class AggregateRebuilder:
    """Works on the runs of the operation."""

    def __init__(
        self,
        database: Database,
        scope: Callable[[], AggregateScope],
        *,
        daemon_id: str,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._scope = scope
        self._daemon_id = daemon_id
        self._clock = clock

    async def work(self, run: Run) -> None:
        """Compare and correct what is in scope; then end the run. Raises what :mod:`daemon.runs.runs` names."""
        asked = RebuildAggregates.model_validate_json(run.parameters)
        scope, done = self._scope().within(asked.since, asked.until), _Done(0, 0, Counter())
        day: int | None = None
        while True:
            compared = await self._step(run, partial(compare_next_day, scope, day), done)
            done.days += compared.compared
            if not isinstance(compared.mark, int):
                break
            day = compared.mark
        session: str | None = None
        while True:
            compared = await self._step(run, partial(compare_next_sessions, scope, session), done)
            done.sessions += compared.compared
            if not isinstance(compared.mark, str):
                break
            session = compared.mark
        await committed(self._database, lambda uow: self._finish(uow, run.run_id, done))
        log.info("aggregates_rebuilt", run_id=run.run_id, days=done.days, sessions=done.sessions, **done.corrected)

    async def _step(self, run: Run, compare: Callable[[UnitOfWork], Comparison], done: _Done) -> Comparison:
        """One part, compared and corrected. Where the outcome of a transaction is not known it is compared anew."""
        while True:
            try:
                compared = await self._compare_and_correct(run, compare, done)
            except (StorageAway, StorageConflict) as error:
                log.info("rebuild_waits", run_id=run.run_id, reason=str(error))
                await asyncio.sleep(_AGAIN_S)
            else:
                if compared is not None:
                    await asyncio.sleep(_PAUSE_S)
                    return compared

    async def _compare_and_correct(
        self, run: Run, compare: Callable[[UnitOfWork], Comparison], done: _Done
    ) -> Comparison | None:
        """None where the lease ran out meanwhile."""
        lease = await self._database.write(partial(self._take, run.run_id))
        compared = await self._database.read(compare)
        if compared.wrong:
            if not await self._database.write(partial(self._correct, run.run_id, lease, compared)):
                return None
            done.corrected.update({each.table_name: len(found) for each, found in compared.wrong.items()})
        return compared

    def _take(self, run_id: str, uow: UnitOfWork) -> Lease:
        hold(uow, run_id, daemon=self._daemon_id)
        lease = uow.leases.take(_LEASE, holder=run_id, ttl_s=_LEASE_S)
        if lease is None:
            raise RunFailed(ANOTHER_RUN)
        return lease

    def _correct(self, run_id: str, lease: Lease, compared: Comparison, uow: UnitOfWork) -> bool:
        """False where the lease has run out meanwhile: another run may have been at it."""
        hold(uow, run_id, daemon=self._daemon_id)
        if not uow.leases.still_held(lease):
            return False
        correct(compared.wrong, uow)
        return True

    def _finish(self, uow: UnitOfWork, run_id: str, done: _Done) -> None:
        hold(uow, run_id, daemon=self._daemon_id)
        uow.ops_runs.finish(run_id, status=SUCCEEDED, ended_at=self._clock(), result=done.as_json())
        lease = uow.leases.take(_LEASE, holder=run_id, ttl_s=_LEASE_S)
        if lease is not None:
            uow.leases.release(lease)


def make(context: OperationContext) -> ServedOperation:
    """The operation, for what has all of its records."""
    rebuilder = AggregateRebuilder(
        context.database,
        lambda: scope_of(context.settings, context.clock()),
        daemon_id=context.daemon_id,
        clock=context.clock,
    )
    return ServedOperation(context.audited(RebuildOperation(context.runs)), RunWorker(rebuilder.work, resumable=True))


ANOTHER_RUN: Final = problem(ErrorCode.INVALID_STATE, "another run is rebuilding the aggregates")
