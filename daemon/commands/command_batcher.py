"""The writer behind the command endpoint: what queued while the last transaction ran shares the next one.

One command alone does not wait; under load the groups grow by themselves: a group takes what has queued by the time its
transaction begins, not by the time it is handed over, for there it may have to wait for others. What makes a
transaction fail decides what happens: storage away is answered at once, a conflict between daemons repeats the whole,
anything else halves the group until the broken command stands alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

import structlog

from daemon.guarded_step import guarded, guarded_wait
from daemon.transactions import ANSWERED, Done, Poison, committed, isolated
from handlers.commands.command import Command, Reply
from handlers.commands.command_batch import Changes, ExecutedBatch, execute_commands
from handlers.effects import Context, Fact
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

MOST_TOGETHER: Final = 500


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
            await self._carry_out_what_waits()
            if not self._queue:
                self._queued.clear()
                self._idle.set()

    async def finish(self) -> None:
        """Return when everything that was taken in is answered."""
        await self._idle.wait()

    async def _carry_out_what_waits(self) -> None:
        group: list[C] = []

        def fill() -> None:
            """Called in the thread of the database, too; a transaction that is repeated has the same group."""
            if not group:
                group.extend(self._queue.popleft() for _ in range(min(MOST_TOGETHER, len(self._queue))))

        async for outcome in isolated(group, partial(self._committed, fill)):
            match outcome:
                case Poison(call, cause):
                    await self._answer_all([call], [self._broken(call.command, cause)])
                case Done(calls, None):
                    await self._answer_all(calls, [self._unavailable] * len(calls))
                case Done(calls, ExecutedBatch() as done):
                    guarded("wake", partial(self._wake, done.lanes))
                    guarded("facts", partial(self._count, done.facts))
                    await self._answer_all(calls, done.replies)

    async def _committed(self, fill: Callable[[], None], calls: Sequence[C]) -> ExecutedBatch | None:
        """One transaction, repeated after a conflict between daemons; None where storage is away."""

        def execute(uow: UnitOfWork) -> ExecutedBatch:
            fill()
            return execute_commands([call.command for call in calls], uow, self._context(), self._changes)

        try:
            return await committed(self._database, execute, repeats=ANSWERED)
        except StorageAway as error:
            fill()  # it may not have come so far
            log.warning("commands_unavailable", commands=len(calls), reason=str(error))
            return None
        except Exception:
            fill()
            raise

    async def _answer_all(self, group: Sequence[C], replies: Sequence[Reply]) -> None:
        for call, reply in zip(group, replies, strict=True):
            await guarded_wait("reply", partial(self._answer, call, reply))
