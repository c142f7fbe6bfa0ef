"""The intake of one consumer: judge beside the commit, one transaction for what arrived meanwhile, then acknowledge.

Two tasks share a buffer. The first pulls and judges (:mod:`daemon.intake.judging`). The second commits: as soon as the
last transaction ended it takes what is judged by then, 1 to ``max_batch`` messages. At low load a message waits for
nobody; at high load the groups grow by themselves.

What makes a transaction fail decides what happens: storage away means waiting with the batch in hand, a conflict
between daemons repeats it, anything else halves it until the poison stands alone. What fails after the commit makes
nothing undone: the batch is acknowledged all the same.

What was in hand when a process died is worked on apart, while nothing else is (:mod:`domain.intake.suspects`).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import structlog
from msgspec.structs import replace

from contracts.gate.delivery import Delivery, Judged
from daemon.intake.ahead import Ahead, Begun, Committed, Decide, Durable
from daemon.intake.in_hand import InHand, nothing_noted
from daemon.intake.judging import Judging, unjudged
from daemon.intake.ports import BatchWork, Gatekeeper, IntakeLimits, Observer, Older, Source
from daemon.intake.reordering import WaitingRoom
from daemon.transactions import Done, Poison, committed, isolated
from domain.intake.suspects import groups
from handlers.batch import INTERNAL, dead_letter_alone, decide_batch
from handlers.batch_preparation import PreparedBatch, prepare_batch
from handlers.effects import BatchOutcome, Context, Families, MessageOutcome, Verdict
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_UNBURIABLE_AGAIN_S: Final = 30.0
"""When a message that can neither be taken nor be kept as a dead letter is tried again; the server counts how often."""

_LEAST_PAUSE_S: Final = 0.005
_A_FEW: Final = 20


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
        in_hand: InHand | None = None,
    ) -> None:
        self._source = source
        self._database = database
        self._families = families
        self._context = context
        self._observer = observer
        self._older = older
        self._in_hand = in_hand or nothing_noted()
        self._has_turn = False
        self._early = WaitingRoom(touch_every_s=limits.ack_wait_s / 3)
        self._judging = Judging(source, gate, self._in_hand, limits)
        self._ahead = Ahead(database)
        self._max_batch = limits.max_batch
        self._delay_of_some_s = limits.commit_delay_s
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until :meth:`stop`; then finish the batch in hand and return. Raises what the source raises.

        What was taken and not worked on is given back, as is the batch in hand where storage is away.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._judging.run)
            try:
                await self._commit_batches()
            finally:
                await self._ahead.drop()
            tasks.cancel_scope.cancel()
        left_over = [*(judged.delivery for judged in self._early.empty()), *self._judging.left_over()]
        for delivery in left_over:
            await self._source.give_back(delivery, 0)
        self._in_hand.waits(left_over)

    def stop(self) -> None:
        """Take nothing new; :meth:`run` returns after the commit that runs."""
        self._stopping.set()
        self._judging.arrived.set()

    async def _commit_batches(self) -> None:
        while True:
            if not self._ahead.has_begun:
                with anyio.move_on_after(max(self._early.pause_s, _LEAST_PAUSE_S)):
                    await self._judging.arrived.wait()
                if self._stopping.is_set():
                    return
            await self._commit_what_is_there()

    async def _commit_what_is_there(self) -> None:
        if (begun := self._ahead.take()) is not None:
            await self._work_on(begun.batch, begun=begun)
        elif batch := self._judging.next_batch():
            await self._in_hand.resume([judged.delivery for judged in batch])
            await self._work_on(batch, begun=self._begin(batch))
        elif self._judging.suspects:
            await self._work_on_suspects()
        if early := self._early.due():
            await self._in_hand.resume([judged.delivery for judged in early])
            await self._work_on(early)
        for judged in self._early.to_touch():
            await self._source.in_progress(judged.delivery)

    async def _work_on_suspects(self) -> None:
        """In small groups, while nothing else is in hand, so that a death leaves few suspects."""
        async with self._in_hand.nothing_else():
            self._has_turn = True
            try:
                for group in groups(self._judging.suspects):
                    if self._stopping.is_set():
                        return
                    await self._work_on_group(group)
            finally:
                self._has_turn = False
        self._judging.suspects_done()

    async def _work_on_group(self, group: Sequence[Delivery]) -> None:
        self._in_hand.note(group)
        suspicion = self._in_hand.suspicion(group[0])
        if suspicion is not None and suspicion.is_proven:
            log.error(
                "message_ends_process", subject=group[0].subject, sequence=group[0].sequence, **suspicion._asdict()
            )
            await self._bury(unjudged(group[0], INTERNAL))
        else:
            await self._work_on([self._judging.judge(delivery) for delivery in group])

    async def _work_on(
        self, batch: Sequence[Judged], *, as_it_stands: bool = False, begun: Begun | None = None
    ) -> None:
        """Commit *batch*, halving it around what makes it fail, and answer for every part that is committed.

        *as_it_stands*: nothing older is outstanding, so that nothing is held for it. *begun*: the database has it.
        """

        async def commit(part: Sequence[Judged]) -> Committed:
            if begun is not None and part is batch and (committed := await self._end(begun)) is not None:
                return committed
            return await self._decided(part, as_it_stands=as_it_stands)

        async for outcome in isolated(batch, commit):
            match outcome:
                case Done(part, (settled, seconds)):
                    await self._conclude(part, settled, seconds)
                case Poison(judged, cause):
                    log.error(
                        "poison message",
                        subject=judged.delivery.subject,
                        sequence=judged.delivery.sequence,
                        kind=judged.kind,
                        message_id=judged.message_id,
                        exc_info=cause,
                    )
                    await self._bury(judged)

    # -- the next batch, while this one is being committed

    def _begin(self, batch: Sequence[Judged]) -> Begun | None:
        """Hand a full batch over, so that the next one can be handed over behind it; none where it is not full."""
        if len(batch) < self._max_batch or not self._ahead.may_begin:
            return None
        durable = Durable()
        committing = self._committed(durable.noted_by(self._prepared(batch)), batch)
        return Begun(batch, durable, asyncio.create_task(committing, name="batch"))

    async def _end(self, begun: Begun) -> Committed | None:
        """Wait for what was begun. Another full batch that is judged meanwhile goes ahead of its turn."""
        while not begun.task.done() and self._ahead.may_begin and not self._stopping.is_set():
            full = asyncio.ensure_future(self._judging.full.wait())
            await asyncio.wait({begun.task, full}, return_when=asyncio.FIRST_COMPLETED)
            if not full.cancel() and not begun.task.done():
                batch = self._judging.next_batch()
                await self._in_hand.resume([judged.delivery for judged in batch])
                self._ahead.begin(batch, self._prepared(batch), after=begun.durable)
        return await begun.task

    def _prepared(self, batch: Sequence[Judged]) -> Decide:
        """The decision on *batch*, made here as far as it needs no database. What is tried again is decided anew."""
        context = self._context()
        prepared: PreparedBatch | None = None
        with suppress(Exception):  # whatever it was is met again, and isolated, in the transaction
            prepared = prepare_batch(batch, context, self._families)

        def decide(uow: UnitOfWork) -> BatchOutcome:
            nonlocal prepared
            if prepared is None:
                return decide_batch(batch, uow, self._context(), self._families)
            ready, prepared = prepared, None
            return decide_batch(batch, uow, context, self._families, ready)

        return decide

    async def _decided(self, batch: Sequence[Judged], *, as_it_stands: bool) -> Committed:
        work: BatchWork = partial(decide_batch, batch, families=self._families)
        return await self._committed(self._decision(partial(_finally, work) if as_it_stands else work), batch)

    def _decision(self, work: BatchWork) -> Decide:
        return lambda uow: work(uow=uow, context=self._context())

    async def _bury(self, poison: Judged) -> None:
        """Dead-letter the one message that cannot be taken, whatever it is that fails."""
        try:
            settled, seconds = await self._committed(
                self._decision(partial(dead_letter_alone, poison, INTERNAL)), [poison]
            )
        except Exception:  # it stays in its stream, and the others go on
            log.exception("poison_not_buried", sequence=poison.delivery.sequence)
            await self._source.give_back(poison.delivery, _UNBURIABLE_AGAIN_S)
            self._in_hand.done([poison.delivery])
        else:
            await self._conclude([poison], settled, seconds)

    async def _committed(self, decide: Decide, batch: Sequence[Judged]) -> Committed:
        """One transaction; repeated after a conflict between daemons, and for as long as storage is away.

        No outcome where storage is away and the daemon stops. Raises what is not storage's. A death while *batch* waits
        for storage is not its fault.
        """
        started = asyncio.get_running_loop().time()
        waiting = [judged.delivery for judged in batch]
        paused = False

        async def while_away(error: StorageAway, delay_s: float) -> bool:
            nonlocal paused
            if self._stopping.is_set():
                return False
            if not paused:
                await self._source.pause()
                paused = True
            self._observer.storage_away(error)
            await self._wait_for_storage(waiting, delay_s)
            return True

        try:
            settled = await committed(
                self._database, decide, while_away=while_away, commit_delay_s=self._commit_delay_s(batch)
            )
        except StorageAway:
            return Committed(None, 0.0)
        if paused:
            await self._source.resume()
            self._observer.storage_back()
        return Committed(settled, asyncio.get_running_loop().time() - started)

    def _commit_delay_s(self, batch: Sequence[Judged]) -> float:
        """A few messages go at once, and so does a full batch."""
        return self._delay_of_some_s if _A_FEW < len(batch) < self._max_batch else 0.0

    async def _wait_for_storage(self, batch: Sequence[Delivery], delay_s: float) -> None:
        waiting = [*batch, *(judged.delivery for judged in self._ahead.batch)]
        self._in_hand.waits(waiting)
        with anyio.move_on_after(delay_s):
            await self._stopping.wait()
        if self._has_turn:
            self._in_hand.note(waiting)
        else:
            await self._in_hand.resume(waiting)

    async def _conclude(self, batch: Sequence[Judged], settled: BatchOutcome | None, seconds: float) -> None:
        """Tell of the commit, then answer: what is durable is acknowledged, whatever telling of it comes to."""
        if settled is None:
            await self._give_back([(judged, 0.0) for judged in batch])
            return
        done: list[tuple[Judged, MessageOutcome]] = []
        held: list[tuple[Judged, MessageOutcome]] = []
        for judged, outcome in zip(batch, settled.outcomes, strict=True):
            (held if outcome.verdict is Verdict.HELD else done).append((judged, outcome))
        await self._tell(done, settled, seconds)
        for judged, _ in done:
            self._early.let_go(judged)
        answered = [judged.delivery for judged, _ in done]
        await self._source.ack(answered)
        self._in_hand.done(answered)
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
        kept: list[Delivery] = []
        known = len(self._early)
        for judged, outcome in held:
            if outcome.hold_s > 0 and judged.delivery.sequence in clear:
                again.append(judged)
            elif outcome.hold_s > 0 and self._older is not None and self._early.keep(judged):
                kept.append(judged.delivery)
            else:
                back.append((judged, outcome))
        self._in_hand.done(kept)
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
        """What was decided once and is given back is no suspect: it ended nothing."""
        for judged, delay_s in held:
            self._early.let_go(judged)
            await self._source.give_back(judged.delivery, delay_s)
            self._in_hand.done([judged.delivery])


def _finally(work: BatchWork, *, uow: UnitOfWork, context: Context) -> BatchOutcome:
    return work(uow=uow, context=replace(context, older_outstanding=False))
