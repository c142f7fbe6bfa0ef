"""The loop that keeps the status keys of runs: clients watch a run rather than poll for it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from contracts.errors import JsonObject
from daemon.runs.runs import Runs
from handlers.effects import Context
from handlers.questions.run_status import run_status
from handlers.status_updates import status_update
from storage.engine.database import Database
from storage.journal.ops_runs import RunFilter
from storage.unit_of_work import UnitOfWork

RUN_STATUS_S: Final = 0.5
_RECENT: Final = 50
"""Runs that may have ended just before this daemon began: their last word is said again, and changes nothing where it
was heard."""


class RunStatus:
    """Writes the views of runs that are worked on here, at most one for each in an interval."""

    def __init__(
        self,
        database: Database,
        *,
        runs: Runs,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        self._database = database
        self._runs = runs
        self._context = context
        self._wake = wake
        self._written: dict[str, JsonObject] = {}
        self._begun = False

    async def step(self) -> None:
        """Write what has changed. Raises what storage raises."""
        if not self._begun:
            self._written = {run_id: {} for run_id in await self._database.read(self._recent)}
            self._begun = True
        ids = {*self._written, *self._runs.in_work(), *self._runs.take_ended()}
        if not ids:
            return
        watched = {run_id: self._written.get(run_id, {}) for run_id in ids}
        context = self._context()
        views = await self._database.read(
            lambda uow: {run_id: run_status(run_id, uow, now=context.now) for run_id in watched}
        )
        changed = {
            run_id: view for run_id, view in views.items() if view is not None and _differs(view, watched[run_id])
        }
        if changed:
            await self._database.write(lambda uow: _add(changed, uow, context))
            self._wake([context.subjects.status_lane])
        still = self._runs.in_work()
        self._written = {run_id: view for run_id, view in views.items() if view is not None and run_id in still}

    def _recent(self, uow: UnitOfWork) -> list[str]:
        runs = uow.ops_runs.page(RunFilter(), before=None, limit=_RECENT)
        return [run.run_id for run in runs if run.operation in self._runs.operations]


def _differs(view: JsonObject, before: JsonObject) -> bool:
    """The version rises by itself while a run goes on."""
    return {**view, "version": 0} != {**before, "version": 0}


def _add(views: Mapping[str, JsonObject], uow: UnitOfWork, context: Context) -> None:
    messages = [status_update(f"run.{run_id}", view, context) for run_id, view in views.items()]
    uow.outbox.add(messages, owner=context.daemon_id, now=context.now)
