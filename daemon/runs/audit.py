"""The record of operations: begun before they act, completed after, also when they fail or are refused."""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from contracts.errors import JsonObject, JsonValue, Problem
from contracts.values.times import MICROS_PER_SECOND
from domain.access import AuditedReads, leaves_row
from handlers.commands.command import Command
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.journal.ops_runs import FAILED, SUCCEEDED, NewRun
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_MOST_OWED: Final = 1_000
_BODY: Final = "body"


@dataclass(frozen=True, slots=True)
class _Over:
    """A run that is over and whose row could not be written yet; ``begun`` where the row is there already."""

    run: NewRun
    ended_at: int
    result: JsonValue
    error: JsonObject | None
    begun: bool

    def write(self, uow: UnitOfWork) -> None:
        if self.begun:
            status = SUCCEEDED if self.error is None else FAILED
            uow.ops_runs.finish(
                self.run.run_id, status=status, ended_at=self.ended_at, result=self.result, error=self.error
            )
        else:
            uow.ops_runs.record(self.run, ended_at=self.ended_at, result=self.result, error=self.error)


def action_of(command: Command) -> object:
    """What a command of several actions is to do."""
    return getattr(command.payload, "action", None)


class OpsAudit:
    """Writes the ``ops_runs`` rows of one daemon."""

    def __init__(
        self,
        database: Database,
        *,
        daemon_id: str,
        new_id: Callable[[], str],
        clock: Callable[[], int],
        reads: AuditedReads = AuditedReads.BODIES,
    ) -> None:
        self._database = database
        self._daemon_id = daemon_id
        self._new_id = new_id
        self._clock = clock
        self._reads = reads
        self._owed: deque[_Over] = deque(maxlen=_MOST_OWED)
        self._strangers_due_at = 0
        self._others = 0
        self._held: tuple[NewRun, Problem] | None = None

    def now(self) -> int:
        """The clock of the records, in microseconds since the epoch."""
        return self._clock()

    def keeps(self, command: Command) -> bool:
        """Whether *command* is to have a row where it is carried out."""
        return leaves_row(command.name, action_of(command), self._reads)

    def new_run(self, command: Command) -> NewRun:
        """The record of *command*, not written yet."""
        parameters = command.payload.model_dump(mode="json", exclude_unset=True)
        return self.run_of(command.name, parameters, command.principal.owner, command.trace_id)

    def run_of(self, operation: str, parameters: JsonObject, principal: str, trace_id: str | None) -> NewRun:
        """A record, not written yet. A message's body is not repeated in it: its digest tells which it was."""
        body = parameters.get(_BODY)
        if isinstance(body, str):
            digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
            parameters = {**parameters, _BODY: f"sha256:{digest}"}
        return NewRun(
            run_id=self._new_id(),
            operation=operation,
            parameters=parameters,
            principal=principal,
            trace_id=trace_id,
            daemon=self._daemon_id,
            started_at=self._clock(),
        )

    async def record(self, run: NewRun, *, result: JsonValue = None, error: JsonObject | None = None) -> bool:
        """Write a run that is over. Where storage is away the row is owed (:meth:`write_owed`): ``False``."""
        return await self._complete(_Over(run, self._clock(), result, error, begun=False))

    async def record_stranger(self, operation: str, principal: str, why: Problem) -> None:
        """Write that a request without a valid token was refused: one row a second, which counts the others. Nothing
        that the request says is kept."""
        run = self.run_of(operation, {}, principal, why.trace_id)
        if self._clock() < self._strangers_due_at:
            self._others += 1
            self._held = (run, why)
            return
        others = self._count_strangers()
        await self.record(run, result=others, error=why.as_json())

    def _count_strangers(self) -> JsonObject | None:
        others, self._others, self._held = self._others, 0, None
        self._strangers_due_at = self._clock() + MICROS_PER_SECOND
        return {"others": others} if others else None

    async def end(self, run: NewRun, *, result: JsonValue = None, error: JsonObject | None = None) -> bool:
        """Complete the row of a run that was begun; likewise owed where storage is away."""
        return await self._complete(_Over(run, self._clock(), result, error, begun=True))

    async def _complete(self, over: _Over) -> bool:
        try:
            await self._database.write(over.write)
        except StorageAway:
            self._owed.append(over)
            return False
        return True

    async def write_owed(self) -> None:
        """Write what is owed. Raises :class:`StorageAway` while storage still is."""
        if self._held is not None and self._clock() >= self._strangers_due_at:
            run, why = self._held
            self._others -= 1
            self._owed.append(_Over(run, self._clock(), self._count_strangers(), why.as_json(), begun=False))
        owed = list(self._owed)
        if not owed:
            return

        def write(uow: UnitOfWork) -> None:
            for over in owed:
                over.write(uow)

        await self._database.write(write)
        for over in owed:
            self._owed.remove(over)
