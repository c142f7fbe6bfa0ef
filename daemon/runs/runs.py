"""Runs that go on in the daemon after they were answered, and those that a daemon left behind when it died.

A run belongs to the daemon that its row names, for as long as that daemon's lease is in force. Whoever works on it asks
inside each transaction whether it still is theirs (:func:`hold`), so that a daemon that slept through its lease does
nothing to a run that another has taken over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
import structlog

from contracts.errors import ErrorCode, JsonObject, Problem, problem
from daemon.maintenance.lease_heartbeat import LEASE_PREFIX
from daemon.transactions import committed
from storage.engine.database import Database
from storage.journal.ops_runs import FAILED, RUNNING, Run
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

ADOPT_S: Final = 5.0

Work: TypeAlias = Callable[[Run], Awaitable[None]]
"""Works on a run to its end and ends it. May raise :class:`RunLost` and :class:`RunFailed`."""


@dataclass(frozen=True, slots=True)
class RunWorker:
    """Who works on the runs of an operation; ``resumable`` where another daemon can go on with one."""

    work: Work
    resumable: bool


class RunLost(Exception):
    """The run has ended, or another daemon has taken it over."""


class RunFailed(Exception):
    """The run cannot go on, for a reason that its record tells."""

    def __init__(self, problem: Problem, result: JsonObject | None = None) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem
        self.result = result


def hold(uow: UnitOfWork, run_id: str, *, daemon: str) -> None:
    """Keep the run ours until the transaction ends. Raises :class:`RunLost`."""
    if not uow.ops_runs.is_held(run_id, daemon=daemon):
        raise RunLost(run_id)


def look(uow: UnitOfWork, run_id: str, *, daemon: str) -> None:
    """Raise :class:`RunLost` where the run is not ours any more; for waits, which lock nothing."""
    run = uow.ops_runs.get(run_id)
    if run is None or run.status != RUNNING or run.daemon != daemon:
        raise RunLost(run_id)


class Runs:
    """The runs of one daemon that go on."""

    def __init__(self, database: Database, *, daemon_id: str, clock: Callable[[], int]) -> None:
        self._database = database
        self._daemon_id = daemon_id
        self._clock = clock
        self._workers: dict[str, RunWorker] = {}
        self._begun: asyncio.Queue[str] = asyncio.Queue()
        self._in_work: dict[str, str] = {}
        self._ended: set[str] = set()

    @property
    def operations(self) -> frozenset[str]:
        """The operations whose runs go on."""
        return frozenset(self._workers)

    def take_ended(self) -> set[str]:
        """The runs whose work here has ended since this was asked last."""
        ended, self._ended = self._ended, set()
        return ended

    def in_work(self) -> Mapping[str, str]:
        """The runs that are being worked on here, with their operations."""
        return dict(self._in_work)

    def assign(self, workers: Mapping[str, RunWorker]) -> None:
        """Who works on which operation's runs."""
        self._workers.update(workers)

    def begin(self, run_id: str) -> None:
        """Go on with a run of ours whose row is committed."""
        self._begun.put_nowait(run_id)

    async def run(self) -> None:
        """Work on what is begun until cancelled. What is not done then is left to the next daemon."""
        async with anyio.create_task_group() as tasks:
            while True:
                tasks.start_soon(self._work_on, await self._begun.get())

    async def _work_on(self, run_id: str) -> None:
        run = await committed(self._database, lambda uow: uow.ops_runs.get(run_id))
        if run is None:
            return
        log.info("run_begins", operation=run.operation, run_id=run_id)
        self._in_work[run_id] = run.operation
        try:
            await self._workers[run.operation].work(run)
        except RunLost:
            log.warning("run_lost", operation=run.operation, run_id=run_id)
        except RunFailed as failed:
            log.warning("run_failed", operation=run.operation, run_id=run_id, reason=str(failed))
            await self._fail(run, failed.problem, failed.result)
        except Exception:  # a run that breaks ends as failed, and no other with it
            log.exception("run_broke", operation=run.operation, run_id=run_id)
            await self._fail(run, _BROKE)
        finally:
            self._ended.add(run_id)
            del self._in_work[run_id]

    async def _fail(self, run: Run, why: Problem, result: JsonObject | None = None) -> None:
        error = why.traced(run.trace_id).as_json()

        def end(uow: UnitOfWork) -> None:
            if uow.ops_runs.is_held(run.run_id, daemon=self._daemon_id):
                uow.ops_runs.finish(run.run_id, status=FAILED, ended_at=self._clock(), result=result, error=error)

        await committed(self._database, end)

    # -- the runs of others

    async def adopt_step(self) -> None:
        """Take over the runs of daemons that died. Raises what storage raises."""
        for run in await self._database.read(self._left_behind):
            await self._take_over(run)

    def _left_behind(self, uow: UnitOfWork) -> list[Run]:
        """Runs whose daemon has no lease any more."""
        running = [run for run in uow.ops_runs.running() if run.daemon != self._daemon_id]
        if not running:
            return []
        in_force = uow.leases.holders(LEASE_PREFIX)
        return [run for run in running if not in_force.get(f"{LEASE_PREFIX}{run.daemon}", False)]

    async def _take_over(self, run: Run) -> None:
        """Go on with a run of a dead daemon, or end it. Nobody touches the run of a living one."""

        def take(uow: UnitOfWork) -> bool:
            still = any(run.run_id == each.run_id for each in self._left_behind(uow))
            return still and uow.ops_runs.take_over(run.run_id, former=run.daemon, daemon=self._daemon_id)

        if not await self._database.write(take):
            return
        log.info("run_taken_over", operation=run.operation, run_id=run.run_id, former=run.daemon)
        worker = self._workers.get(run.operation)
        if worker is not None and worker.resumable:
            self.begin(run.run_id)
        else:
            await self._fail(run, DAEMON_DIED)


DAEMON_DIED: Final = problem(ErrorCode.INTERNAL_ERROR, "the daemon that held the run ended before it did")
_BROKE: Final = problem(ErrorCode.INTERNAL_ERROR, "the run broke; the cause is logged under its id")
