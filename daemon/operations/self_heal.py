"""``self-heal``: one round now, or what one would find."""

from typing import Final

import anyio

from contracts.errors import ErrorCode, Problem, Refusal, problem
from contracts.payloads.operations.care import SelfHeal as SelfHealPayload
from daemon.maintenance.self_heal import LeaseLost, Round, RoundBusy, SelfHeal
from daemon.operations.context import OperationContext, ServedOperation
from handlers.commands.command import Command, Reply, ok, payload_of
from storage.journal.ops_runs import NewRun

_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.1


class SelfHealOperation:
    """Runs a round for the caller; while another daemon's runs, it waits for a moment."""

    def __init__(self, healing: SelfHeal) -> None:
        self._healing = healing

    async def __call__(self, command: Command, run: NewRun) -> Reply:
        dry_run = payload_of(command, SelfHealPayload).dry_run
        try:
            done = await self._round(run, dry_run=dry_run)
        except (RoundBusy, LeaseLost):
            raise Refusal(_BUSY) from None
        return ok(done.as_json())

    async def _round(self, run: NewRun, *, dry_run: bool) -> Round:
        deadline = anyio.current_time() + _PATIENCE_S
        while True:
            try:
                return await self._healing.round(dry_run=dry_run, run=run)
            except RoundBusy:
                if anyio.current_time() > deadline:
                    raise
            await anyio.sleep(_PAUSE_S)


_BUSY: Final[Problem] = problem(ErrorCode.UNAVAILABLE, "another round of healing is running; try again")


def make(context: OperationContext) -> ServedOperation:
    """The operation."""
    return ServedOperation(context.audited(SelfHealOperation(context.healing)))
