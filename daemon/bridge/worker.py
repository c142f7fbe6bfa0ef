"""Takes work messages, keeps them alive while their predictions run, and acknowledges them when all is told.

A message is a lease: it stays unacknowledged, with signs of progress, until the last callback is stored. A bridge that
dies lets the lease run out, the server delivers the message again, and the journal says where to go on.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from faststream.nats import NatsMessage
from nats.errors import Error as NatsError

from adapters.cancellation import cancel_and_wait
from contracts.subjects import Subjects, parse_event
from contracts.values.work import WorkType
from daemon.bridge.execution import Execution, ExecutionOutcome, Interrupt
from daemon.bridge.job_views import is_over
from daemon.bridge.tools import Plan, Tools, withdraw
from daemon.bridge.work import BridgeWork, MalformedWorkError, read_work

log = structlog.get_logger(__name__)

CANCELLED_EVENT: Final = "cancelled"
_SIGNS_IN_A_LEASE: Final = 3
_BUG_DELAY_S: Final = 30.0
_GIVE_BACK_DELAY_S: Final = 1.0


@dataclass(slots=True)
class Held:
    """BridgeWork in hand. A redelivery replaces the message: the newest one is the lease."""

    execution: Execution
    message: NatsMessage
    task: asyncio.Task[None] | None = None

    @property
    def work(self) -> BridgeWork:
        return self.execution.work


class BridgeWorker:
    """All the work of one bridge. ``slots`` limits how much of each type is in hand."""

    def __init__(
        self, plans: Mapping[WorkType, Plan], tools: Tools, subjects: Subjects, *, ack_wait_s: float, slots: int
    ) -> None:
        self._plans = plans
        self._tools = tools
        self._subjects = subjects
        self._sign_interval_s = ack_wait_s / _SIGNS_IN_A_LEASE
        self._slots = slots
        self._held: dict[str, Held] = {}
        self._stopping = False
        self._given_back: set[str] = set()
        self._room = asyncio.Condition()

    async def take(self, message: NatsMessage, work_type: WorkType) -> None:
        """Begin with the work of a message; returns when there is room for another one."""
        if self._stopping:
            await message.nack(delay=_GIVE_BACK_DELAY_S)
            return
        try:
            raw = message.raw_message
            work = read_work(raw.data, work_type, self._subjects, delivery=raw.reply)
        except MalformedWorkError as error:
            self._tools.metrics.error("malformed_work")
            log.warning("malformed_work", work=str(work_type), reason=str(error))
            await message.reject()
            return
        if await self._is_news(work, message):
            held = Held(Execution(work, self._plans[work_type], self._tools), message)
            self._held[work.work_id] = held
            held.task = asyncio.create_task(self._carry_out(held), name=f"work-{work.work_id}")
            self._show_running()
        async with self._room:
            await self._room.wait_for(lambda: self._stopping or self._in_hand()[work_type] < self._slots)

    async def _is_news(self, work: BridgeWork, message: NatsMessage) -> bool:
        """Whether the message is to be begun with; one for work in hand renews the lease, or takes over."""
        held = self._held.get(work.work_id)
        if held is None:
            return True
        if work.attempt == held.work.attempt:
            held.message = message
            return False
        if work.attempt < held.work.attempt:
            await message.ack()
            return False
        held.execution.interrupt(Interrupt.SUPERSEDED)
        if held.task is not None:
            await asyncio.wait([held.task])
        return True

    async def job_cancelled(self, message: NatsMessage) -> None:
        """Nobody waits for the work of this job any more."""
        bare = self._subjects.bare(message.raw_message.subject)
        event = None if bare is None else parse_event(bare)
        if event is None or event.event != CANCELLED_EVENT:
            return
        for held in self._held.values():
            if held.work.job_id == event.id:
                held.execution.interrupt(Interrupt.CANCEL)

    async def withdraw_abandoned(self) -> None:
        """End predictions whose job ended while no bridge was there to hear of it."""
        async for stored in self._tools.journal.open_entries():
            entry = stored.entry
            if entry.work_id in self._held or not is_over(await self._tools.views.status(entry.job_id)):
                continue
            log.info("abandoned_work_withdrawn", work_id=entry.work_id, job_id=entry.job_id)
            await withdraw(stored, self._tools)

    async def beat(self) -> None:
        """Tell other bridges that this one lives."""
        await self._tools.journal.beat(self._tools.owner, self._tools.clock())

    async def give_back_orphans(self, silence_s: float) -> None:
        """Give back what bridges hold that said nothing for *silence_s*: it is delivered again, and the journal says
        where to go on. Giving back twice does no harm."""
        since = self._tools.clock() - round(silence_s * 1_000_000)
        lives: dict[str, bool] = {self._tools.owner: True}
        async for stored in self._tools.journal.open_entries():
            entry = stored.entry
            if entry.owner not in lives:
                lives[entry.owner] = await self._tools.journal.lives(entry.owner, since=since)
            if lives[entry.owner] or not entry.delivery or entry.delivery in self._given_back:
                continue
            log.info("orphaned_work_given_back", work_id=entry.work_id, job_id=entry.job_id)
            await self._tools.give_back(entry.delivery)
            self._given_back.add(entry.delivery)

    async def begin_stop(self) -> None:
        """Take no more work; what is in hand goes on."""
        self._stopping = True
        async with self._room:
            self._room.notify_all()

    async def stop(self, grace_s: float) -> None:
        """Leave the predictions to the next start; what does not come to rest within *grace_s* is cut off."""
        await self.begin_stop()
        tasks = [held.task for held in self._held.values() if held.task is not None]
        for held in self._held.values():
            held.execution.interrupt(Interrupt.STOP)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        await cancel_and_wait(late)

    async def _carry_out(self, held: Held) -> None:
        signs = asyncio.create_task(self._keep(held))
        try:
            outcome = await held.execution.carry_out()
        except Exception:
            self._tools.metrics.error("internal")
            log.exception("work_failed_unexpectedly", work_id=held.work.work_id)
            await _answered(lambda: held.message.nack(delay=_BUG_DELAY_S))
        else:
            await self._settle(held, outcome)
        finally:
            signs.cancel()
            self._held.pop(held.work.work_id, None)
            self._show_running()
            async with self._room:
                self._room.notify_all()

    async def _settle(self, held: Held, outcome: ExecutionOutcome) -> None:
        log.info("work_left", work_id=held.work.work_id, attempt=held.work.attempt, outcome=str(outcome))
        if outcome in {ExecutionOutcome.FINISHED, ExecutionOutcome.CANCELLED, ExecutionOutcome.SUPERSEDED}:
            await _answered(held.message.ack_sync)
        elif outcome is ExecutionOutcome.STOPPED:
            await _answered(held.message.nack)

    async def _keep(self, held: Held) -> None:
        """Tell the server again and again that the message is being worked on."""
        while True:
            await asyncio.sleep(self._sign_interval_s)
            await _answered(held.message.in_progress)

    def _in_hand(self) -> Counter[WorkType]:
        return Counter(held.work.type for held in self._held.values())

    def _show_running(self) -> None:
        in_hand = self._in_hand()
        for work_type in self._plans:
            self._tools.metrics.running(work_type, in_hand[work_type])


async def _answered(answer: Callable[[], Awaitable[None]]) -> None:
    """Answer a message; where that fails its lease runs out, and the journal knows what became of it."""
    try:
        await answer()
    except NatsError as error:
        log.warning("message_not_answered", reason=type(error).__name__)
