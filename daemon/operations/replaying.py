"""Replay runs: a frozen selection, sent in growing portions, each looked at before the next one goes out.

Everything a run knows is in the database, changed in small transactions that hold the run: so it goes on after a
restart or in another daemon, and two of them never work on it at once. What loses a run raises
:class:`daemon.operations.runs.RunLost`.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import orjson
import structlog

from contracts.errors import JsonObject
from contracts.payloads.operations import ReplayFailed
from daemon.operations.runs import hold
from daemon.transactions import patiently
from domain.dead_letters.dead_letters import ReplayOutcome, Skipped, portion, too_many_failed
from handlers.effects import Context
from handlers.replays.replay_targets import AT_ONCE, BY_NAME, TARGETS, Holder, ReplayTarget, Selected
from storage.engine.database import Database
from storage.journal.dead_letter_catalog import Mark
from storage.journal.ops_runs import ABORTED, SUCCEEDED, Run
from storage.journal.replay_runs import ItemMark, ReplayCounts, ReplayItem
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

    # -- the selection

    async def select(self, run_id: str, wanted: ReplayFailed, *, frozen_at: int) -> int:
        """Freeze what is meant of what failed by *frozen_at*; how many items. Goes on where it was interrupted."""
        run = await patiently(self._database, lambda uow: self._opened(uow, run_id, frozen_at))
        if run:
            for target in _targets_of(wanted):
                await self._select_from(target, run_id, wanted, frozen_at)
            await patiently(self._database, lambda uow: self._close_selection(uow, run_id, wanted))
        found = await self._database.read(lambda uow: uow.replay_runs.get(run_id))
        return 0 if found is None else found.requested

    def _opened(self, uow: UnitOfWork, run_id: str, frozen_at: int) -> bool:
        """Whether there is something left to select."""
        self._hold(uow, run_id)
        run = uow.replay_runs.get(run_id)
        if run is None:
            uow.replay_runs.open(run_id, frozen_at=frozen_at, is_selecting=True)
        return run is None or bool(run.is_selecting)

    async def _select_from(self, target: ReplayTarget, run_id: str, wanted: ReplayFailed, frozen_at: int) -> None:
        after: Mark | None = None
        while True:
            some = partial(
                self._select_some, target=target, run_id=run_id, wanted=wanted, frozen_at=frozen_at, after=after
            )
            after = (await patiently(self._database, some)).after
            if after is None:
                return

    def _select_some(
        self,
        uow: UnitOfWork,
        *,
        target: ReplayTarget,
        run_id: str,
        wanted: ReplayFailed,
        frozen_at: int,
        after: Mark | None,
    ) -> Selected:
        self._hold(uow, run_id)
        selected = target.select(wanted, uow, until=frozen_at + 1, after=after, limit=AT_ONCE)
        run = uow.replay_runs.get(run_id)
        room = None if wanted.limit is None or run is None else wanted.limit - run.requested
        ids = selected.ids if room is None else selected.ids[: max(0, room)]
        uow.replay_runs.add(run_id, [ReplayItem(target.name, each, None, None, None) for each in ids])
        return selected if room is None or room > len(selected.ids) else selected._replace(after=None)

    def _close_selection(self, uow: UnitOfWork, run_id: str, wanted: ReplayFailed) -> None:
        self._hold(uow, run_id)
        if wanted.ids:
            self._add_missing(uow, run_id, wanted)
        uow.replay_runs.selected(run_id)

    def _add_missing(self, uow: UnitOfWork, run_id: str, wanted: ReplayFailed) -> None:
        """Ids that were asked for by name and that are nowhere are told too."""
        ids = list(dict.fromkeys(wanted.ids or ()))[: wanted.limit]
        known = uow.replay_runs.items_among(run_id, ids)
        name = _targets_of(wanted)[0].name
        missing = [each for each in ids if each not in known]
        uow.replay_runs.add(
            run_id,
            [ReplayItem(name, each, None, ReplayOutcome.SKIPPED, Skipped.NOT_FOUND) for each in missing],
        )

    # -- the work

    async def work(self, run: Run) -> None:
        """Send what is selected and wait for what becomes of it; then end the run."""
        wanted = _asked(run)
        if wanted is not None:
            await self.select(run.run_id, wanted, frozen_at=run.started_at)
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
                await asyncio.sleep(max(0.0, sent.items / rate - (time.monotonic() - started)))
            round_number += sent.items >= most
        await patiently(self._database, lambda uow: self._finish(uow, run.run_id))

    async def _send(self, holder: Holder, most: int) -> _Portion:
        return await patiently(self._database, lambda uow: self._send_some(uow, holder, most))

    def _send_some(self, uow: UnitOfWork, holder: Holder, most: int) -> _Portion:
        self._hold(uow, holder.run_id)
        context, run_id = self._context(), holder.run_id
        run = uow.replay_runs.get(run_id)
        if run is not None and run.stopped is not None:
            return self._skip_some(uow, run_id, run.stopped)
        done, by_target = _Portion(), _by_target(uow.replay_runs.waiting(run_id, limit=most))
        for name, ids in by_target.items():
            sent = BY_NAME[name].replay(ids, holder, uow, context)
            uow.replay_runs.note(run_id, sent.items)
            uow.outbox.add(sent.messages, owner=context.daemon_id, now=context.now)
            done.items += len(sent.items)
            done.lanes |= {message.lane for message in sent.messages}
        return done

    def _skip_some(self, uow: UnitOfWork, run_id: str, why: str) -> _Portion:
        waiting = uow.replay_runs.waiting(run_id, limit=AT_ONCE)
        items = [ReplayItem(name, item_id, None, ReplayOutcome.SKIPPED, why) for name, item_id in waiting]
        uow.replay_runs.note(run_id, items)
        return _Portion(len(items))

    async def _landed(self, run_id: str) -> None:
        """Until of everything that was sent is known what became of it."""
        look_s = _FIRST_LOOK_S
        while await patiently(self._database, lambda uow: uow.replay_runs.is_in_flight(run_id), reading=True):
            await asyncio.sleep(look_s)
            look_s = min(_LONGEST_LOOK_S, look_s * 1.5)

    async def _stop_if_too_many_fail(self, run_id: str, ratio: float) -> None:
        def judge(uow: UnitOfWork) -> bool:
            self._hold(uow, run_id)
            counts = uow.replay_runs.counts(run_id)
            stops = too_many_failed(counts.still_failed, counts.replayed, ratio)
            if stops:
                uow.replay_runs.stop(run_id, Skipped.FAILURE_RATIO)
            return stops

        if await patiently(self._database, judge):
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


def summary(counts: ReplayCounts) -> JsonObject:
    """The counts as answers and results have them."""
    return {
        "requested": counts.requested,
        "replayed": counts.replayed,
        "skipped": counts.skipped,
        "still_failed": counts.still_failed,
    }


def _asked(run: Run) -> ReplayFailed | None:
    """What a run is to select; None where its items were named when it began (a corrected body)."""
    return ReplayFailed.model_validate(orjson.loads(run.parameters)) if run.operation == OPERATION else None


def _targets_of(wanted: ReplayFailed) -> Sequence[ReplayTarget]:
    return [target for named in dict.fromkeys(wanted.targets) for target in TARGETS[named]]


def _by_target(marks: Iterable[ItemMark]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, item_id in marks:
        found[name].append(item_id)
    return dict(found)
