"""Discards of many dead letters: a run like a replay, over a frozen selection."""

from collections.abc import Callable
from typing import Final

import orjson
import structlog

from contracts.payloads.operations.failures import DeadLetters
from contracts.values.states import LetterState
from daemon.runs.runs import hold
from daemon.runs.selecting import Selecting
from daemon.transactions import committed
from domain.dead_letters.dead_letters import ReplayOutcome, Skipped, skipped_because
from handlers.effects import Context
from handlers.replays.replay_targets import AT_ONCE, DeadLetterTarget
from handlers.replays.run_queries import summary
from storage.engine.database import Database
from storage.journal.discards import Discard
from storage.journal.ops_runs import ABORTED, SUCCEEDED, Run
from storage.journal.replay_runs import ReplayItem
from storage.journal.replays import DEAD_LETTERS
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

DISCARDED: Final = (DeadLetterTarget(),)
"""What a discard looks through."""


class Discarding:
    """Works on discards."""

    def __init__(self, database: Database, selecting: Selecting, *, context: Callable[[], Context]) -> None:
        self._database = database
        self._selecting = selecting
        self._context = context

    async def work(self, run: Run) -> None:
        """Discard what is selected, some in each transaction; then end the run."""
        wanted = DeadLetters.model_validate(orjson.loads(run.parameters))
        await self._selecting.select(run.run_id, wanted, DISCARDED, frozen_at=run.started_at)
        while await committed(self._database, lambda uow: self._discard_some(uow, run, wanted.reason)):
            pass
        await committed(self._database, lambda uow: self._finish(uow, run.run_id))

    def _discard_some(self, uow: UnitOfWork, run: Run, reason: str | None) -> int:
        """How many items were decided on; 0 where none waits any more."""
        context = self._context()
        hold(uow, run.run_id, daemon=context.daemon_id)
        selection = uow.replay_runs.get(run.run_id)
        stopped = None if selection is None else selection.stopped
        ids = [item_id for _, item_id in uow.replay_runs.waiting(run.run_id, limit=AT_ONCE)]
        why = Discard(run.run_id, run.principal, reason, context.now)
        discarded = set() if stopped is not None else uow.discards.discard(ids, why)
        left_alone = uow.replays.states([each for each in ids if each not in discarded])
        items = [ReplayItem(DEAD_LETTERS, each, None, ReplayOutcome.DISCARDED, None) for each in sorted(discarded)]
        for each in ids:
            if each not in discarded:
                state, _ = left_alone.get(each, (None, 0))
                because = stopped or (Skipped.IN_FLIGHT if state is LetterState.OPEN else skipped_because(state))
                items.append(ReplayItem(DEAD_LETTERS, each, None, ReplayOutcome.SKIPPED, because))
        uow.replay_runs.record_outcomes(run.run_id, items)
        return len(ids)

    def _finish(self, uow: UnitOfWork, run_id: str) -> None:
        context = self._context()
        hold(uow, run_id, daemon=context.daemon_id)
        selection, counts = uow.replay_runs.get(run_id), uow.replay_runs.counts(run_id)
        stopped = None if selection is None else selection.stopped
        result = summary(counts, discards=True) | ({} if stopped is None else {"stopped": stopped})
        status = SUCCEEDED if stopped is None else ABORTED
        uow.ops_runs.finish(run_id, status=status, ended_at=context.now, result=result)
        log.info("discard_ended", run_id=run_id, status=status, **summary(counts, discards=True))
