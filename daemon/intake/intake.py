"""The intake of one consumer: judge beside the commit, one transaction for what arrived meanwhile, then acknowledge.

Two tasks share a buffer. The first pulls and judges, in slices, so that the loop stays responsive. The second commits:
as soon as the last transaction ended it takes what is judged by then, 1 to ``max_batch`` messages. At low load a
message waits for nobody; at high load the groups grow by themselves.

What makes a transaction fail decides what happens: storage away means waiting with the batch in hand, a conflict
between daemons repeats it, anything else halves it until the poison stands alone. What fails after the commit makes
nothing undone: the batch is acknowledged all the same.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import anyio
import structlog

from contracts.gate.delivery import Delivery, Judged, Refused
from contracts.gate.examination import UNKNOWN_KIND
from daemon.intake.reordering import WaitingRoom
from domain.backoff import Backoff
from handlers.batch import INTERNAL, dead_letter_alone, decide_batch
from handlers.effects import BatchOutcome, Context, Families, MessageOutcome, Verdict
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

ALONE_FROM_DELIVERY: Final = 3
"""From its third delivery on a message is worked on alone: one that kills the process takes no neighbour along."""

_UNBURIABLE_AGAIN_S: Final = 30.0
"""When a message that can neither be taken nor be kept as a dead letter is tried again; the server counts how often."""

_SLICE: Final = 200
"""Messages judged between two turns of the loop: about 3 ms."""


class Source(Protocol):
    """The stream side of an intake (:class:`adapters.nats.streams.pull.ContinuousPull`)."""

    async def take(self, limit: int) -> Sequence[Delivery]: ...
    async def ack(self, deliveries: Iterable[Delivery]) -> int: ...
    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool: ...
    async def in_progress(self, delivery: Delivery) -> bool: ...
    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


class Older(Protocol):
    """Knows what else of the consumer is open (:class:`daemon.intake.reordering.OlderMessages`)."""

    async def none_outstanding(self, held: Sequence[Delivery], batch: Sequence[Delivery]) -> Sequence[Delivery]: ...


class Gatekeeper(Protocol):
    """Judges one delivery (:class:`contracts.gate.Gate`)."""

    def judge(self, delivery: Delivery) -> Judged: ...


class BatchWork(Protocol):
    """What one transaction does."""

    def __call__(self, *, uow: UnitOfWork, context: Context) -> BatchOutcome: ...


class Observer(Protocol):
    """Learns what happened, after the commit."""

    async def committed(self, batch: Sequence[Judged], settled: BatchOutcome, seconds: float) -> None: ...
    def came_early(self, messages: int) -> None: ...
    def storage_away(self, error: StorageAway) -> None: ...
    def storage_back(self) -> None: ...


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """How much is in hand at once."""

    max_batch: int = 1_000
    max_judged: int = 2_000
    ack_wait_s: float = 60.0


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
        older: Older | None = None,
    ) -> None:
        self._source = source
        self._gate = gate
        self._database = database
        self._families = families
        self._context = context
        self._observer = observer
        self._limits = limits
        self._older = older
        self._early = WaitingRoom(touch_every_s=limits.ack_wait_s / 3)
        self._judged: deque[Judged] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._backoff = Backoff(first_s=0.1, most_s=5.0)

    async def run(self) -> None:
        """BatchWork until :meth:`stop`; then finish the batch in hand and return. Raises what the source raises.

        What was taken and not worked on is given back, as is the batch in hand where storage is away.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._judge_arrivals)
            await self._commit_batches()
            tasks.cancel_scope.cancel()
        for judged in (*self._early.empty(), *self._judged):
            await self._source.give_back(judged.delivery, 0)
        self._judged.clear()

    def stop(self) -> None:
        """Take nothing new; :meth:`run` returns after the commit that runs."""
        self._stopping.set()
        self._arrived.set()

    async def _judge_arrivals(self) -> None:
        judge = self._judge
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

    def _judge(self, delivery: Delivery) -> Judged:
        try:
            return self._gate.judge(delivery)
        except Exception:  # a mistake of ours about one body must not stop all others
            log.exception("gate_failed", subject=delivery.subject, sequence=delivery.sequence)
            return Refused(INTERNAL, UNKNOWN_KIND, None, None, delivery)

    async def _commit_batches(self) -> None:
        while True:
            with anyio.move_on_after(self._early.pause_s):
                await self._arrived.wait()
            if self._stopping.is_set():
                return
            for batch in (self._next_batch(), self._early.due()):
                if batch:
                    await self._work_on(batch)
            for judged in self._early.to_touch():
                await self._source.in_progress(judged.delivery)

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

    async def _work_on(self, batch: Sequence[Judged], *, as_it_stands: bool = False) -> None:
        """Commit *batch*, halving it around what makes it fail, and answer for every part that is committed.

        *as_it_stands*: nothing older is outstanding, so that nothing is held for it.
        """
        started = asyncio.get_running_loop().time()
        work: BatchWork = partial(decide_batch, batch, families=self._families)
        try:
            settled = await self._committed(partial(_finally, work) if as_it_stands else work)
        except Exception as cause:  # noqa: BLE001 - whatever the data or our own code raises must not stop intake
            await self._isolate(batch, cause)
        else:
            await self._conclude(batch, settled, started)

    async def _isolate(self, batch: Sequence[Judged], cause: Exception) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._work_on(batch[:middle])
            await self._work_on(batch[middle:])
        else:
            await self._bury(batch[0], cause)

    async def _bury(self, poison: Judged, cause: Exception) -> None:
        """Dead-letter the one message that cannot be taken, whatever it is that fails."""
        log.error(
            "poison message",
            subject=poison.delivery.subject,
            sequence=poison.delivery.sequence,
            kind=poison.kind,
            message_id=poison.message_id,
            exc_info=cause,
        )
        started = asyncio.get_running_loop().time()
        try:
            settled = await self._committed(partial(dead_letter_alone, poison, INTERNAL))
        except Exception:  # it stays in its stream, and the others go on
            log.exception("poison_not_buried", sequence=poison.delivery.sequence)
            await self._source.give_back(poison.delivery, _UNBURIABLE_AGAIN_S)
        else:
            await self._conclude([poison], settled, started)

    async def _committed(self, work: BatchWork) -> BatchOutcome | None:
        """One transaction; repeated after a conflict between daemons, and for as long as storage is away.

        None where storage is away and the daemon stops. Raises what is not storage's.
        """
        paused = False
        settled: BatchOutcome | None = None
        while settled is None:
            try:
                settled = await self._database.write(lambda uow: work(uow=uow, context=self._context()))
            except StorageConflict as error:
                log.warning("storage_conflict", reason=str(error))
                await asyncio.sleep(self._backoff.next_delay_s(random.random()))  # noqa: S311 - jitter, not a secret
            except StorageAway as error:
                if self._stopping.is_set():
                    return None
                if not paused:
                    await self._source.pause()
                    paused = True
                self._observer.storage_away(error)
                await self._wait_for_storage()
        self._backoff.reset()
        if paused:
            await self._source.resume()
            self._observer.storage_back()
        return settled

    async def _wait_for_storage(self) -> None:
        with anyio.move_on_after(self._backoff.next_delay_s(random.random())):  # noqa: S311 - jitter, not a secret
            await self._stopping.wait()

    async def _conclude(self, batch: Sequence[Judged], settled: BatchOutcome | None, started: float) -> None:
        """Tell of the commit, then answer: what is durable is acknowledged, whatever telling of it comes to."""
        if settled is None:
            await self._give_back([(judged, 0.0) for judged in batch])
            return
        seconds = asyncio.get_running_loop().time() - started
        done: list[tuple[Judged, MessageOutcome]] = []
        held: list[tuple[Judged, MessageOutcome]] = []
        for judged, outcome in zip(batch, settled.outcomes, strict=True):
            (held if outcome.verdict is Verdict.HELD else done).append((judged, outcome))
        await self._tell(done, settled, seconds)
        for judged, _ in done:
            self._early.let_go(judged)
        await self._source.ack([judged.delivery for judged, _ in done])
        if held:
            await self._answer_held(batch, held, seconds)

    async def _tell(
        self, answered: Sequence[tuple[Judged, MessageOutcome]], settled: BatchOutcome, seconds: float
    ) -> None:
        if not answered:
            return
        told = [judged for judged, _ in answered]
        try:
            await self._observer.committed(told, replace(settled, outcomes=[each for _, each in answered]), seconds)
        except Exception:  # neither the messages nor storage are to blame
            log.exception("after_commit_failed", messages=len(told))

    async def _answer_held(
        self, batch: Sequence[Judged], held: Sequence[tuple[Judged, MessageOutcome]], seconds: float
    ) -> None:
        """What may wait for older messages is kept for a moment, then given back; the rest is decided as it stands, for
        nothing older can come."""
        clear = await self._clear(batch, [judged.delivery for judged, outcome in held if outcome.hold_s > 0])
        again: list[Judged] = []
        back: list[tuple[Judged, MessageOutcome]] = []
        known = len(self._early)
        for judged, outcome in held:
            if outcome.hold_s > 0 and judged.delivery.sequence in clear:
                again.append(judged)
            elif not (outcome.hold_s > 0 and self._older is not None and self._early.keep(judged)):
                back.append((judged, outcome))
        self._observer.came_early(max(0, len(self._early) - known))
        await self._tell(back, BatchOutcome((), (), frozenset()), seconds)
        await self._give_back([(judged, outcome.hold_s) for judged, outcome in back])
        if again:
            await self._work_on(again, as_it_stands=True)

    async def _clear(self, batch: Sequence[Judged], waiting: Sequence[Delivery]) -> set[int]:
        """The sequences of those for which nothing older is outstanding."""
        if self._older is None or not waiting:
            return set()
        clear = await self._older.none_outstanding(waiting, [judged.delivery for judged in batch])
        return {delivery.sequence for delivery in clear}

    async def _give_back(self, held: Iterable[tuple[Judged, float]]) -> None:
        for judged, delay_s in held:
            self._early.let_go(judged)
            await self._source.give_back(judged.delivery, delay_s)


def _finally(work: BatchWork, *, uow: UnitOfWork, context: Context) -> BatchOutcome:
    return work(uow=uow, context=replace(context, older_outstanding=False))
