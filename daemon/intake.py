"""The intake of one consumer: judge beside the commit, one transaction for what arrived meanwhile, then acknowledge.

Two tasks share a buffer. The first pulls and judges, in slices, so that the loop stays responsive. The second commits:
as soon as the last transaction ended it takes what is judged by then, 1 to ``max_batch`` messages. At low load a
message waits for nobody; at high load the groups grow by themselves.

What makes a transaction fail decides what happens: storage away means waiting with the batch in hand, a conflict
between daemons repeats it, anything else halves it until the poison stands alone.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import anyio
import structlog

from contracts.delivery import Delivery, Judged
from domain.backoff import Backoff
from handlers.effects import Context, Families, Settled, Verdict
from handlers.gate import INTERNAL, bury_alone, settle
from storage.database import Database
from storage.failures import StorageAway, StorageConflict
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

ALONE_FROM_DELIVERY: Final = 3
"""From its third delivery on a message is worked on alone: one that kills the process takes no neighbour along."""

_SLICE: Final = 200
"""Messages judged between two turns of the loop: about 3 ms."""


class Source(Protocol):
    """The stream side of an intake (:class:`adapters.pull.ContinuousPull`)."""

    async def take(self, limit: int) -> Sequence[Delivery]: ...
    async def ack(self, deliveries: Iterable[Delivery]) -> int: ...
    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool: ...
    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


class Gatekeeper(Protocol):
    """Judges one delivery (:class:`contracts.gate.Gate`)."""

    def judge(self, delivery: Delivery) -> Judged: ...


class Work(Protocol):
    """What one transaction does."""

    def __call__(self, *, uow: UnitOfWork, context: Context) -> Settled: ...


class Observer(Protocol):
    """Learns what happened, after the commit."""

    async def committed(self, batch: Sequence[Judged], settled: Settled, seconds: float) -> None: ...
    def storage_away(self, error: StorageAway) -> None: ...
    def storage_back(self) -> None: ...


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """How much is in hand at once."""

    max_batch: int = 1_000
    max_judged: int = 2_000


class Intake:
    """Runs one consumer's messages through the gate into the database."""

    def __init__(
        self,
        *,
        source: Source,
        gate: Gatekeeper,
        database: Database,
        families: Families,
        context: Callable[[], Context],
        observer: Observer,
        limits: IntakeLimits,
    ) -> None:
        self._source = source
        self._gate = gate
        self._database = database
        self._families = families
        self._context = context
        self._observer = observer
        self._limits = limits
        self._judged: deque[Judged] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._stopping = False
        self._backoff = Backoff(first_s=0.1, most_s=5.0)

    async def run(self) -> None:
        """Work until :meth:`stop`; then finish the batch in hand and return. Raises what the source raises."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._judge_arrivals)
            await self._commit_batches()
            tasks.cancel_scope.cancel()
        for judged in self._judged:
            await self._source.give_back(judged.delivery, 0)
        self._judged.clear()

    def stop(self) -> None:
        """Take nothing new; :meth:`run` returns after the commit that runs."""
        self._stopping = True
        self._arrived.set()

    async def _judge_arrivals(self) -> None:
        judge = self._gate.judge
        while True:
            deliveries = await self._source.take(_SLICE)
            if not deliveries:
                return
            self._judged.extend(map(judge, deliveries))
            self._arrived.set()
            while len(self._judged) >= self._limits.max_judged:
                self._room.clear()
                await self._room.wait()
            await asyncio.sleep(0)

    async def _commit_batches(self) -> None:
        while True:
            await self._arrived.wait()
            if self._stopping:
                return
            batch = self._next_batch()
            if batch:
                await self._work_on(batch)

    def _next_batch(self) -> list[Judged]:
        judged = self._judged
        batch: list[Judged] = []
        while judged and len(batch) < self._limits.max_batch:
            if judged[0].delivery.delivered >= ALONE_FROM_DELIVERY:
                if not batch:
                    batch.append(judged.popleft())
                break
            batch.append(judged.popleft())
        if not judged:
            self._arrived.clear()
        self._room.set()
        return batch

    async def _work_on(self, batch: Sequence[Judged]) -> None:
        """Commit *batch*, halving it around what makes it fail, and answer for every part that is committed."""
        try:
            await self._commit(batch, partial(settle, batch, families=self._families))
        except asyncio.CancelledError:
            raise
        except Exception as cause:  # noqa: BLE001 - whatever the data or our own code raises must not stop intake
            await self._isolate(batch, cause)

    async def _isolate(self, batch: Sequence[Judged], cause: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._work_on(batch[:middle])
            await self._work_on(batch[middle:])
            return
        poison = batch[0]
        log.error(
            "poison message",
            subject=poison.delivery.subject,
            sequence=poison.delivery.sequence,
            kind=poison.kind,
            message_id=poison.message_id,
            exc_info=cause,
        )
        await self._commit(batch, partial(bury_alone, poison, INTERNAL))

    async def _commit(self, batch: Sequence[Judged], work: Work) -> None:
        """Run *work* until it is committed, then answer for *batch*. Raises what is not storage's."""
        started = asyncio.get_running_loop().time()
        settled = await self._committed(work)
        await self._observer.committed(batch, settled, asyncio.get_running_loop().time() - started)
        await self._answer(batch, settled)

    async def _committed(self, work: Work) -> Settled:
        """One transaction; repeated after a conflict between daemons, and for as long as storage is away."""
        paused = False
        settled: Settled | None = None
        while settled is None:
            try:
                settled = await self._database.write(lambda uow: work(uow=uow, context=self._context()))
            except StorageConflict:
                await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - jitter, not a secret
            except StorageAway as error:
                if not paused:
                    await self._source.pause()
                    paused = True
                self._observer.storage_away(error)
                await asyncio.sleep(self._backoff.next_delay_s(random.random()))  # noqa: S311 - jitter, not a secret
        self._backoff.reset()
        if paused:
            await self._source.resume()
            self._observer.storage_back()
        return settled

    async def _answer(self, batch: Sequence[Judged], settled: Settled) -> None:
        done: list[Delivery] = []
        for judged, outcome in zip(batch, settled.outcomes, strict=True):
            if outcome.verdict is Verdict.HELD:
                await self._source.give_back(judged.delivery, outcome.hold_s)
            else:
                done.append(judged.delivery)
        await self._source.ack(done)
