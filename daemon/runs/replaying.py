"""Replay runs: a frozen selection, sent in growing portions, each looked at before the next one goes out.

Everything a run knows is in the database, changed in small transactions that hold the run: so it goes on after a
restart or in another daemon, and two of them never work on it at once. What loses a run raises
:class:`daemon.runs.runs.RunLost`.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import orjson
import structlog

from contracts.payloads.operations.failures import ReplayFailed
from daemon.runs.runs import hold, look
from daemon.runs.selecting import Selecting, targets_of
from daemon.transactions import committed
from domain.dead_letters.dead_letters import ReplayOutcome, Skipped, portion, too_many_failed
from handlers.effects import Context
from handlers.replays.replay_targets import AT_ONCE, BY_NAME, Holder
from handlers.replays.run_queries import summary
from storage.engine.database import Database
from storage.journal.ops_runs import ABORTED, SUCCEEDED, Run
from storage.journal.replay_runs import ItemMark, ReplayItem
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

OPERATION: Final = "replay-failed"
_FIRST_LOOK_S: Final = 0.01
_LONGEST_LOOK_S: Final = 0.5


@dataclass(slots=True)
class _Portion:
    """What one transaction sent or decided."""

    items: int = 0
    lanes: set[str] = field(default_factory=set)


class Replaying:
    """Selects and works on replay runs."""

    def __init__(
        self, database: Database, *, context: Callable[[], Context], wake: Callable[[Iterable[str]], None]
    ) -> None:
        self._database = database
        self._context = context
        self._wake = wake
        self.selecting = Selecting(database, context=context)

    async def work(self, run: Run) -> None:
        """Send what is selected and wait for what becomes of it; then end the run."""
        wanted = _asked(run)
        if wanted is not None:
            targets = targets_of(wanted)
            await self.selecting.select(run.run_id, wanted, targets, frozen_at=run.started_at, limit=wanted.limit)
        rate = wanted.rate_per_second if wanted is not None else None
        ratio = wanted.stop_on_failure_ratio if wanted is not None else None
        holder, round_number = Holder(run.run_id, run.principal), 0
        await self._landed(run.run_id)
        while True:
            started = time.monotonic()
            most = portion(round_number, rate_per_second=rate)
            sent = await self._send(holder, most)
            if not sent.items:
                break
            self._wake(sent.lanes)
            await self._landed(run.run_id)
            if ratio is not None:
                await self._stop_if_too_many_fail(run.run_id, ratio)
            if rate is not None:
                await self._pause(run.run_id, until=started + sent.items / rate)
            round_number += sent.items >= most
        await committed(self._database, lambda uow: self._finish(uow, run.run_id))

    async def _send(self, holder: Holder, most: int) -> _Portion:
        return await committed(self._database, lambda uow: self._send_some(uow, holder, most))

    def _send_some(self, uow: UnitOfWork, holder: Holder, most: int) -> _Portion:
        self._hold(uow, holder.run_id)
        context, run_id = self._context(), holder.run_id
        run = uow.replay_runs.get(run_id)
        if run is not None and run.stopped is not None:
            return self._skip_some(uow, run_id, run.stopped)
        done, by_target = _Portion(), _by_target(uow.replay_runs.waiting(run_id, limit=most))
        for name, ids in by_target.items():
            sent = BY_NAME[name].replay(ids, holder, uow, context)
            uow.replay_runs.record_outcomes(run_id, sent.items)
            uow.outbox.add(sent.messages, owner=context.daemon_id, now=context.now)
            done.items += len(sent.items)
            done.lanes |= {message.lane for message in sent.messages}
        return done

    def _skip_some(self, uow: UnitOfWork, run_id: str, why: str) -> _Portion:
        waiting = uow.replay_runs.waiting(run_id, limit=AT_ONCE)
        items = [ReplayItem(name, item_id, None, ReplayOutcome.SKIPPED, why) for name, item_id in waiting]
        uow.replay_runs.record_outcomes(run_id, items)
        return _Portion(len(items))

    async def _landed(self, run_id: str) -> None:
        """Until of everything that was sent is known what became of it."""
        look_s = _FIRST_LOOK_S

        def is_in_flight(uow: UnitOfWork) -> bool:
            self._look(uow, run_id)
            return uow.replay_runs.is_in_flight(run_id)

        while await committed(self._database, is_in_flight, reading=True):
            await asyncio.sleep(look_s)
            look_s = min(_LONGEST_LOOK_S, look_s * 1.5)

    async def _pause(self, run_id: str, *, until: float) -> None:
        """Keep to the rate; over at once where the run is stopped, or ours no longer."""
        while (left_s := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, _LONGEST_LOOK_S))
            if left_s > _LONGEST_LOOK_S and await committed(
                self._database, partial(self._is_stopped, run_id=run_id), reading=True
            ):
                return

    def _is_stopped(self, uow: UnitOfWork, *, run_id: str) -> bool:
        self._look(uow, run_id)
        run = uow.replay_runs.get(run_id)
        return run is not None and run.stopped is not None

    def _look(self, uow: UnitOfWork, run_id: str) -> None:
        """As :meth:`_hold`, in a transaction that only reads and locks nothing."""
        look(uow, run_id, daemon=self._context().daemon_id)

    async def _stop_if_too_many_fail(self, run_id: str, ratio: float) -> None:
        def judge(uow: UnitOfWork) -> bool:
            self._hold(uow, run_id)
            counts = uow.replay_runs.counts(run_id)
            stops = too_many_failed(counts.still_failed, counts.replayed, ratio)
            if stops:
                uow.replay_runs.stop(run_id, Skipped.FAILURE_RATIO)
            return stops

        if await committed(self._database, judge):
            log.warning("replay_stopped", run_id=run_id, reason=str(Skipped.FAILURE_RATIO))

    def _finish(self, uow: UnitOfWork, run_id: str) -> None:
        self._hold(uow, run_id)
        run, counts = uow.replay_runs.get(run_id), uow.replay_runs.counts(run_id)
        stopped = None if run is None else run.stopped
        result = summary(counts) | ({} if stopped is None else {"stopped": stopped})
        status = SUCCEEDED if stopped is None else ABORTED
        uow.ops_runs.finish(run_id, status=status, ended_at=self._context().now, result=result)
        log.info("replay_ended", run_id=run_id, status=status, **counts._asdict())

    def _hold(self, uow: UnitOfWork, run_id: str) -> None:
        hold(uow, run_id, daemon=self._context().daemon_id)


def _asked(run: Run) -> ReplayFailed | None:
    """What a run is to select; None where its items were named when it began (a corrected body)."""
    return ReplayFailed.model_validate(orjson.loads(run.parameters)) if run.operation == OPERATION else None


def _by_target(marks: Iterable[ItemMark]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, item_id in marks:
        found[name].append(item_id)
    return dict(found)
