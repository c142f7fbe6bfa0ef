"""A command that had to look at the outside world first, carried out by itself like any that changes something."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from domain.backoff import Backoff
from handlers.commands.command import Command, Reply
from handlers.commands.command_batch import ChangeHandler, ExecutedBatch, execute_commands
from handlers.effects import Context, Fact
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict

_MOST_REPEATS: Final = 20


class SingleCommand:
    """One transaction for one command: remembered by its key, repeated after a conflict, told once it is committed."""

    def __init__(
        self,
        database: Database,
        *,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
        count: Callable[[Sequence[Fact]], None],
    ) -> None:
        self._database = database
        self._context = context
        self._wake = wake
        self._count = count

    async def __call__(self, command: Command, handler: ChangeHandler) -> Reply:
        """The reply, once the effect is durable. Raises what storage raises."""
        done = await self._committed(command, handler)
        self._wake(done.lanes)
        self._count(done.facts)
        return done.replies[0]

    async def _committed(self, command: Command, handler: ChangeHandler) -> ExecutedBatch:
        changes = {command.name: handler}
        backoff = Backoff(first_s=0.005, most_s=0.2)
        for _ in range(_MOST_REPEATS):
            try:
                return await self._database.write(
                    lambda uow: execute_commands([command], uow, self._context(), changes)
                )
            except StorageConflict:
                await asyncio.sleep(backoff.next_delay_s(random.random()))  # noqa: S311 - jitter, not a secret
        raise StorageAway("other daemons kept changing the same things")
