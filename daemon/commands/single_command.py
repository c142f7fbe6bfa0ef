"""A command that had to look at the outside world first, carried out by itself like any that changes something."""

from collections.abc import Callable, Iterable, Sequence

from daemon.transactions import ANSWERED, committed
from handlers.commands.command import Command, Reply
from handlers.commands.command_batch import ChangeHandler, ExecutedBatch, execute_commands
from handlers.effects import Context, Fact
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork


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
        changes = {command.name: handler}

        def execute(uow: UnitOfWork) -> ExecutedBatch:
            return execute_commands([command], uow, self._context(), changes)

        done = await committed(self._database, execute, repeats=ANSWERED)
        self._wake(done.lanes)
        self._count(done.facts)
        return done.replies[0]
