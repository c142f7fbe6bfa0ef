"""The record of operations: begun before they act, completed after, also when they fail."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from contracts.errors import JsonObject, JsonValue
from handlers.commands import Command
from storage.database import Database
from storage.failures import StorageAway
from storage.ops_runs import NewRun
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_MOST_OWED: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Over:
    """A run that is over and whose row could not be written yet."""

    run: NewRun
    ended_at: int
    result: JsonValue
    error: JsonObject | None


class OpsAudit:
    """Writes the ``ops_runs`` rows of one daemon."""

    def __init__(
        self, database: Database, *, daemon_id: str, new_id: Callable[[], str], clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._daemon_id = daemon_id
        self._new_id = new_id
        self._clock = clock
        self._owed: deque[_Over] = deque(maxlen=_MOST_OWED)

    def now(self) -> int:
        """The clock of the records, in microseconds since the epoch."""
        return self._clock()

    def new_run(self, command: Command) -> NewRun:
        """The record of *command*, not written yet."""
        return NewRun(
            run_id=self._new_id(),
            operation=command.name,
            parameters=command.payload.model_dump(mode="json"),
            principal=command.principal.owner,
            trace_id=command.trace_id,
            daemon=self._daemon_id,
            started_at=self._clock(),
        )

    async def record(self, run: NewRun, *, result: JsonValue = None, error: JsonObject | None = None) -> bool:
        """Write a run that is over. Where storage is away the row is owed (:meth:`settle`) and this says ``False``."""
        over = _Over(run, self._clock(), result, error)
        try:
            await self._write([over])
        except StorageAway:
            self._owed.append(over)
            return False
        return True

    async def settle(self) -> None:
        """Write what is owed. Raises :class:`StorageAway` while storage still is."""
        owed = list(self._owed)
        if owed:
            await self._write(owed)
            self._owed.clear()

    async def _write(self, runs: list[_Over]) -> None:
        def write(uow: UnitOfWork) -> None:
            for over in runs:
                uow.ops_runs.record(over.run, ended_at=over.ended_at, result=over.result, error=over.error)

        await self._database.write(write)
