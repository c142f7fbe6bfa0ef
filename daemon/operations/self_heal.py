"""``self-heal``: one round now, or what one would find."""

from typing import Final

import anyio

from contracts.errors import ErrorCode, Problem, problem
from contracts.payloads.ops import SelfHeal as SelfHealPayload
from daemon.operations.audit import OpsAudit
from daemon.self_heal import LeaseLost, Round, RoundBusy, SelfHeal
from handlers.commands import Command, Reply, ok, refuse
from storage.database import Database
from storage.ops_runs import FAILED, NewRun

_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.1


class SelfHealOperation:
    """Runs a round for the caller; while another daemon's runs, it waits for a moment."""

    def __init__(self, healing: SelfHeal, audit: OpsAudit, database: Database) -> None:
        self._healing = healing
        self._audit = audit
        self._database = database

    async def __call__(self, command: Command) -> Reply:
        dry_run = isinstance(command.payload, SelfHealPayload) and command.payload.dry_run
        run = self._audit.new_run(command)
        await self._database.write(lambda uow: uow.ops_runs.start(run))
        try:
            done = await self._round(run, dry_run=dry_run)
        except (RoundBusy, LeaseLost):
            await self._failed(run, _BUSY)
            return refuse(_BUSY)
        except Exception:
            await self._failed(run, _UNFINISHED)
            raise
        return ok({"run_id": run.run_id, **done.as_json()})

    async def _round(self, run: NewRun, *, dry_run: bool) -> Round:
        deadline = anyio.current_time() + _PATIENCE_S
        while True:
            try:
                return await self._healing.round(dry_run=dry_run, run=run)
            except RoundBusy:
                if anyio.current_time() > deadline:
                    raise
            await anyio.sleep(_PAUSE_S)

    async def _failed(self, run: NewRun, why: Problem) -> None:
        """Where the round could not even say itself that it failed."""
        ended_at, error = self._audit.now(), why.as_json()
        await self._database.write(
            lambda uow: uow.ops_runs.finish(run.run_id, status=FAILED, ended_at=ended_at, error=error)
        )


_BUSY: Final = problem(ErrorCode.UNAVAILABLE, "another round of healing is running; try again")
_UNFINISHED: Final = problem(ErrorCode.UNAVAILABLE, "the round could not be finished")
