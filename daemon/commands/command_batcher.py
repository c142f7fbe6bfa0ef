"""The writer behind the command door: what queued while the last transaction ran shares the next one.

One command alone waits for nobody; under load the groups grow by themselves. What makes a transaction fail decides what
happens: storage away is answered at once, a conflict between daemons repeats the whole, anything else halves the group
until the broken command stands alone.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

import structlog

from domain.backoff import Backoff
from handlers.commands.command import Command, Reply
from handlers.commands.command_batch import Changes, ExecutedBatch, execute_commands
from handlers.effects import Context, Fact
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict

log = structlog.get_logger(__name__)

MOST_TOGETHER: Final = 500
_MOST_REPEATS: Final = 20


class Call(Protocol):
    """A request on its way, with the command that it is."""

    @property
    def command(self) -> Command: ...


C = TypeVar("C", bound=Call)


class ChangeQueue(Generic[C]):
    """Carries out commands that change something, and answers each once that is durable.

    *wake* learns for which lanes something was committed, *count* what metrics learn of it. *unavailable* and *broken*
    are the answers where storage is away and where a command could not be carried out.
    """

    def __init__(
        self,
        *,
        database: Database,
        changes: Changes,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
        count: Callable[[Sequence[Fact]], None],
        answer: Callable[[C, Reply], Coroutine[object, object, None]],
        unavailable: Reply,
        broken: Callable[[Command, Exception], Reply],
    ) -> None:
        self._database = database
        self._changes = changes
        self._context = context
        self._wake = wake
        self._count = count
        self._answer = answer
        self._unavailable = unavailable
        self._broken = broken
        self._queue: deque[C] = deque()
        self._queued = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, call: C) -> None:
        """Take a call in."""
        self._queue.append(call)
        self._idle.clear()
        self._queued.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._queued.wait()
            group = [self._queue.popleft() for _ in range(min(MOST_TOGETHER, len(self._queue)))]
            if not self._queue:
                self._queued.clear()
            await self._carry_out(group)
            if not self._queue:
                self._idle.set()

    async def finish(self) -> None:
        """Return when everything that was taken in is answered."""
        await self._idle.wait()

    async def _carry_out(self, group: Sequence[C]) -> None:
        try:
            done = await self._committed([call.command for call in group])
        except StorageAway as error:
            log.warning("commands_unavailable", commands=len(group), reason=str(error))
            await self._answer_all(group, [self._unavailable] * len(group))
        except Exception as error:  # noqa: BLE001 - a reply always comes; the cause is logged
            await self._isolate(group, error)
        else:
            self._wake(done.lanes)
            self._count(done.facts)
            await self._answer_all(group, done.replies)

    async def _isolate(self, group: Sequence[C], error: Exception) -> None:
        if len(group) == 1:
            await self._answer(group[0], self._broken(group[0].command, error))
            return
        middle = len(group) // 2
        await self._carry_out(group[:middle])
        await self._carry_out(group[middle:])

    async def _committed(self, commands: Sequence[Command]) -> ExecutedBatch:
        """One transaction, repeated after a conflict between daemons. Raises what is not a conflict."""
        backoff = Backoff(first_s=0.005, most_s=0.2)
        for _ in range(_MOST_REPEATS):
            try:
                return await self._database.write(
                    lambda uow: execute_commands(commands, uow, self._context(), self._changes)
                )
            except StorageConflict as error:
                log.info("commands_repeated", commands=len(commands), reason=str(error))
                await asyncio.sleep(backoff.next_delay_s(random.random()))  # noqa: S311 - jitter, not a secret
        raise StorageAway("other daemons kept changing the same things")

    async def _answer_all(self, group: Sequence[C], replies: Sequence[Reply]) -> None:
        for call, reply in zip(group, replies, strict=True):
            await self._answer(call, reply)
