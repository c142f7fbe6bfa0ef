"""``self-heal``: one round now, or what one would find."""

from typing import Final

import anyio

from contracts.errors import ErrorCode, problem
from contracts.payloads.ops import SelfHeal as SelfHealPayload
from daemon.operations.audit import OpsAudit
from daemon.self_heal import LeaseLost, RoundBusy, SelfHeal
from handlers.commands import Command, Reply, ok, refuse
from storage.database import Database
from storage.ops_runs import FAILED

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
        deadline = anyio.current_time() + _PATIENCE_S
        while anyio.current_time() < deadline:
            try:
                done = await self._healing.round(dry_run=dry_run, run=run)
            except RoundBusy:
                await anyio.sleep(_PAUSE_S)
                continue
            except LeaseLost:
                return refuse(_BUSY)
            return ok({"run_id": run.run_id, **done.as_json()})
        await self._database.write(
            lambda uow: uow.ops_runs.finish(
                run.run_id, status=FAILED, ended_at=self._audit.now(), error=_BUSY.as_json()
            )
        )
        return refuse(_BUSY)


_BUSY: Final = problem(ErrorCode.UNAVAILABLE, "another round of healing is running; try again")
