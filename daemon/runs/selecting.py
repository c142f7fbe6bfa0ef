"""The selection of a run, frozen when it starts: what fails later never joins.

Written down in small transactions that hold the run, so that it goes on where it was interrupted, in this daemon or in
another. What loses the run raises :class:`daemon.runs.runs.RunLost`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from contracts.payloads.operations.failures import LetterSelection, ReplayFailed
from daemon.runs.runs import hold
from daemon.transactions import committed
from domain.dead_letters.dead_letters import ReplayOutcome, Skipped
from handlers.effects import Context
from handlers.replays.replay_targets import AT_ONCE, TARGETS, ReplayTarget, Selected
from storage.engine.database import Database
from storage.journal.dead_letter_catalog import Mark
from storage.journal.replay_runs import ReplayItem
from storage.unit_of_work import UnitOfWork

_MOST_SHOWN: Final = 500


class _Selection(NamedTuple):
    """What a run is to select."""

    run_id: str
    wanted: LetterSelection
    targets: Sequence[ReplayTarget]
    frozen_at: int
    limit: int | None


class Preview(NamedTuple):
    """What a run would select now: how many, and what it would make of the first ones."""

    requested: int
    items: Sequence[ReplayItem]


class Selecting:
    """Selects what runs work on."""

    def __init__(self, database: Database, *, context: Callable[[], Context]) -> None:
        self._database = database
        self._context = context

    async def select(
        self,
        run_id: str,
        wanted: LetterSelection,
        targets: Sequence[ReplayTarget],
        *,
        frozen_at: int,
        limit: int | None = None,
    ) -> int:
        """Freeze what is meant of what failed by *frozen_at*; how many items. Goes on where it was interrupted."""
        selection = _Selection(run_id, wanted, targets, frozen_at, limit)
        if await committed(self._database, partial(self._open, selection=selection)):
            for target in targets:
                await self._select_from(target, selection)
            await committed(self._database, partial(self._close, selection=selection))
        found = await self._database.read(lambda uow: uow.replay_runs.get(run_id))
        return 0 if found is None else found.requested

    async def preview(
        self, wanted: LetterSelection, targets: Sequence[ReplayTarget], *, frozen_at: int, limit: int | None = None
    ) -> Preview:
        """What :meth:`select` would find, with nothing written."""
        requested, shown = 0, list[ReplayItem]()
        for target in targets:
            after: Mark | None = None
            while limit is None or requested < limit:
                selected = await self._database.read(
                    partial(target.select, wanted, until=frozen_at + 1, after=after, limit=AT_ONCE)
                )
                ids = selected.ids if limit is None else selected.ids[: limit - requested]
                requested += len(ids)
                shown += await self._database.read(partial(target.preview, ids[: _MOST_SHOWN - len(shown)]))
                after = selected.after
                if after is None:
                    break
        return Preview(requested, shown)

    def _open(self, uow: UnitOfWork, selection: _Selection) -> bool:
        """Whether there is something left to select."""
        self._hold(uow, selection.run_id)
        run = uow.replay_runs.get(selection.run_id)
        if run is None:
            uow.replay_runs.open(selection.run_id, frozen_at=selection.frozen_at, is_selecting=True)
        return run is None or bool(run.is_selecting)

    async def _select_from(self, target: ReplayTarget, selection: _Selection) -> None:
        after: Mark | None = None
        while True:
            some = partial(self._select_some, target=target, selection=selection, after=after)
            after = (await committed(self._database, some)).after
            if after is None:
                return

    def _select_some(
        self, uow: UnitOfWork, *, target: ReplayTarget, selection: _Selection, after: Mark | None
    ) -> Selected:
        run_id, limit = selection.run_id, selection.limit
        self._hold(uow, run_id)
        selected = target.select(selection.wanted, uow, until=selection.frozen_at + 1, after=after, limit=AT_ONCE)
        run = uow.replay_runs.get(run_id)
        room = None if limit is None or run is None else limit - run.requested
        ids = selected.ids if room is None else selected.ids[: max(0, room)]
        uow.replay_runs.add(run_id, [ReplayItem(target.name, each, None, None, None) for each in ids])
        stopped = run is not None and run.stopped is not None
        goes_on = not stopped and (room is None or room > len(selected.ids))
        return selected if goes_on else selected._replace(after=None)

    def _close(self, uow: UnitOfWork, selection: _Selection) -> None:
        self._hold(uow, selection.run_id)
        if selection.wanted.ids:
            self._add_missing(uow, selection, selection.wanted.ids)
        uow.replay_runs.selected(selection.run_id)

    def _add_missing(self, uow: UnitOfWork, selection: _Selection, wanted: Sequence[str]) -> None:
        """Ids that were asked for by name and that are nowhere are told too."""
        excepted = frozenset(selection.wanted.except_ids or ())
        ids = [each for each in dict.fromkeys(wanted) if each not in excepted][: selection.limit]
        known = uow.replay_runs.items_among(selection.run_id, ids)
        name = selection.targets[0].name
        missing = [each for each in ids if each not in known]
        uow.replay_runs.add(
            selection.run_id,
            [ReplayItem(name, each, None, ReplayOutcome.SKIPPED, Skipped.NOT_FOUND) for each in missing],
        )

    def _hold(self, uow: UnitOfWork, run_id: str) -> None:
        hold(uow, run_id, daemon=self._context().daemon_id)


def targets_of(wanted: ReplayFailed) -> Sequence[ReplayTarget]:
    """What a replay is to look through, each target once."""
    return [target for named in dict.fromkeys(wanted.targets) for target in TARGETS[named]]
