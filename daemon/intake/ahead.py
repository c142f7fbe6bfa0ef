"""A full batch is handed to the database while the one before it is still being committed.

The database's thread then goes from one transaction straight to the next. Otherwise it would stand still while the loop
learns of the commit, answers for a thousand messages, and hands the next batch over: a sixth of the time under load.

Order is kept: in the database's thread the batch finds out whether the one before it is durable, and does nothing where
it is not. Then it is decided in its turn, as if nobody had tried.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from contracts.gate.delivery import Judged
from handlers.effects import BatchOutcome
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork

Decide = Callable[[UnitOfWork], BatchOutcome]


class Committed(NamedTuple):
    """What a transaction came to, None where storage was away at the stop, and how long it took."""

    outcome: BatchOutcome | None
    seconds: float


class Durable:
    """Whether a batch is committed, told in the database's thread before that begins the next transaction."""

    def __init__(self) -> None:
        self._is_set = False

    def noted_by(self, decide: Decide) -> Decide:
        """*decide*, in a transaction that tells here when it is durable."""

        def deciding(uow: UnitOfWork) -> BatchOutcome:
            outcome = decide(uow)
            uow.after_commit(self._set)
            return outcome

        return deciding

    def require(self) -> None:
        """Raise where it is not."""
        if not self._is_set:
            raise _NotItsTurn

    def _set(self) -> None:
        self._is_set = True


class _NotItsTurn(Exception):
    """The batch before is not committed."""


class Begun(NamedTuple):
    """A batch that the database has. The task answers None where the batch is to be decided in its turn."""

    batch: Sequence[Judged]
    durable: Durable
    task: "asyncio.Task[Committed | None]"


class Ahead:
    """At most one batch that is ahead of its turn."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._begun: Begun | None = None

    @property
    def has_begun(self) -> bool:
        return self._begun is not None

    @property
    def batch(self) -> Sequence[Judged]:
        return () if self._begun is None else self._begun.batch

    @property
    def may_begin(self) -> bool:
        return self._begun is None and self._database.keeps_order

    def begin(self, batch: Sequence[Judged], decide: Decide, after: Durable) -> None:
        """Hand *batch* over, to be decided once what *after* stands for is durable."""
        durable = Durable()
        trying = self._try(durable.noted_by(decide), after)
        self._begun = Begun(batch, durable, asyncio.create_task(trying, name="batch-ahead"))

    def take(self) -> Begun | None:
        """The batch that is ahead, whose turn it is now."""
        begun, self._begun = self._begun, None
        return begun

    async def drop(self) -> None:
        """Begin nothing that has not begun: the process ends."""
        if (begun := self.take()) is not None:
            begun.task.cancel()
            await asyncio.gather(begun.task, return_exceptions=True)

    async def _try(self, decide: Decide, after: Durable) -> Committed | None:
        began = time.monotonic()

        def in_turn(uow: UnitOfWork) -> BatchOutcome:
            nonlocal began
            after.require()
            began = time.monotonic()
            return decide(uow)

        try:
            outcome = await self._database.write(in_turn)
        except Exception:  # noqa: BLE001 - whatever it was is met again, and dealt with, in the batch's turn
            return None
        return Committed(outcome, time.monotonic() - began)
