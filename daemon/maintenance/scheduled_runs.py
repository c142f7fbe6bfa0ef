"""The loop that starts operations by itself: pruning and copies, as runs of the system.

When a run is due is told by the last one that the system started, which the database knows: so a time that was missed
while no daemon ran is made up for after the start, and of several daemons one starts it, under a lease.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from contracts.values.principals import SYSTEM
from daemon.runs.runs import Runs
from handlers.effects import Context
from storage.engine.database import Database
from storage.journal.ops_runs import RUNNING, SUCCEEDED, NewRun
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_HOUR_MICROS: Final = 3_600_000_000
_LEASE_S: Final = 60.0
"""Longer than it takes until other daemons see the run."""
_LONGEST_LOOK_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """An operation that is to begin every so many hours; fractions are fine."""

    operation: str
    every_h: float

    @property
    def every(self) -> int:
        """In microseconds."""
        return round(self.every_h * _HOUR_MICROS)


class ScheduledRuns:
    """Starts what is due. Schedules of 0 hours are none."""

    def __init__(
        self, database: Database, schedules: Sequence[Schedule], *, runs: Runs, context: Callable[[], Context]
    ) -> None:
        self._database = database
        self._schedules = [schedule for schedule in schedules if schedule.every_h > 0]
        self._runs = runs
        self._context = context

    @property
    def look_s(self) -> float:
        """How long between two looks at what is due."""
        return min([_LONGEST_LOOK_S, *(schedule.every_h * 3_600 / 4 for schedule in self._schedules)])

    async def step(self) -> None:
        """Start what is due. Raises what storage raises."""
        for schedule in self._schedules:
            if not await self._database.read(partial(self._is_due, schedule)):
                continue
            run_id = await self._database.write(partial(self._begin, schedule))
            if run_id is not None:
                log.info("scheduled_run", operation=schedule.operation, run_id=run_id)
                self._runs.begin(run_id)

    def _is_due(self, schedule: Schedule, uow: UnitOfWork) -> bool:
        now = self._context().now
        last = uow.ops_runs.last_of(schedule.operation, principal=SYSTEM)
        if last is None:
            first_start = uow.pricing_versions.first_seen_at()
            return first_start is not None and now >= first_start + schedule.every
        if last.status == RUNNING:
            return False
        if last.status == SUCCEEDED or last.ended_at is None:
            return now >= last.started_at + schedule.every
        return now >= last.ended_at + min(schedule.every, _HOUR_MICROS)

    def _begin(self, schedule: Schedule, uow: UnitOfWork) -> str | None:
        """Begin the run, unless another daemon has begun it by now."""
        context = self._context()
        lease = uow.leases.take(f"schedule.{schedule.operation}", holder=context.daemon_id, ttl_s=_LEASE_S)
        if lease is None or not self._is_due(schedule, uow):
            return None
        run = NewRun(
            run_id=context.new_id(),
            operation=schedule.operation,
            parameters={},
            principal=SYSTEM,
            trace_id=None,
            daemon=context.daemon_id,
            started_at=context.now,
        )
        uow.ops_runs.start(run)
        return run.run_id
