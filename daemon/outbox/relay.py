"""The outbox relay: moves committed messages to their streams, lane by lane.

A lane is a stream with a task and a backoff of its own, so that a full or missing stream delays only itself. A row
leaves the table only when its stream confirmed it. What may have been published before (a row adopted from a daemon
that ended, or one whose try ended without an answer) carries the same ``Nats-Msg-Id`` again, which the stream knows for
its duplicate window; a row older than half of that window is looked up in the stream first.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import anyio
import structlog
from msgspec import Struct

from adapters.errors import AdapterError
from adapters.nats.outgoing import Outgoing, Published, PublishStatus
from adapters.nats.status_bucket import Publisher
from daemon.observability.metrics import Metrics
from daemon.transactions import chance, committed
from domain.backoff import Backoff
from handlers.healing.undeliverable import RefusedMessage
from storage.engine.database import Database
from storage.engine.failures import StorageError
from storage.journal.outbox import OutboxMessage, OutboxRow
from storage.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from daemon.observability.traces import Traces

log = structlog.get_logger(__name__)

_MOST_BYTES: Final = 4 * 2**20
_IDLE_CHECK_S: Final = 5.0
_PACE_S: Final = 0.05
_COMMIT_DELAY_S: Final = 0.03
"""How long what became of a round waits for a transaction to share; less than is left of the pace, mostly."""
_MICROS: Final = 1_000_000

FindMessages: TypeAlias = Callable[[str, str, frozenset[str], int], Awaitable[Mapping[str, int]]]
"""(stream, subject, several ``Nats-Msg-Id``, microseconds before which none was published) -> the sequences of those
that the stream holds."""


class SentMessage(Struct, frozen=True):
    """What became of one row: ``sequence`` where the stream has it, None where it is unknown."""

    message: OutboxMessage
    sequence: int | None
    written_at: int


class LaneKeeper(Protocol):
    """What a lane does beside publishing."""

    idle_check_s: float

    async def prepare(self) -> None:
        """Called before anything is published; raises where nothing may be published yet."""
        ...

    def record_sent(self, sent: Sequence[SentMessage], uow: UnitOfWork) -> None:
        """Called in the transaction that notes what became of rows."""
        ...


TellWaiting: TypeAlias = Callable[[Sequence[RefusedMessage], UnitOfWork], Sequence[OutboxMessage]]
"""Tells whoever waits for messages that were refused for good; answers what it put in line for that."""


def _tell_nobody(_refused: Sequence[RefusedMessage], _uow: UnitOfWork) -> Sequence[OutboxMessage]:
    return ()


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """``most_rows`` of one publish; ``longest_backoff_s`` of a lane; the streams' duplicate window."""

    most_rows: int
    longest_backoff_s: float
    duplicate_window_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long it takes at least from one round of a lane to the next: longer after one of more than *crowd* rows."""

    crowd: int = 0
    crowded_s: float = _PACE_S

    def seconds(self, rows: int) -> float:
        return self.crowded_s if rows > self.crowd else _PACE_S


@dataclass(slots=True)
class _Round:
    """What one round through a lane came to, by the positions of its rows."""

    confirmed: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    set_aside: list[RefusedMessage] = field(default_factory=list)
    sent: list[SentMessage] = field(default_factory=list)
    obstacle: str | None = None
    tells: bool = False
    """Whether anybody learns of what was sent."""

    def note(self, row: OutboxRow, answer: Published) -> None:
        match answer.outcome:
            case PublishStatus.STORED | PublishStatus.DUPLICATE:
                self.confirmed.append(row.position)
                if self.tells:
                    self.sent.append(SentMessage(row.message, answer.sequence, row.created_at))
            case PublishStatus.REFUSED:
                self.refused[row.position] = answer.reason
                self.set_aside.append(RefusedMessage(row.message, answer.reason))
            case PublishStatus.UNKNOWN:
                self.unknown.append(row.position)
                self.sent.append(SentMessage(row.message, None, row.created_at))
                self.obstacle = self.obstacle or answer.reason
            case PublishStatus.UNAVAILABLE:
                self.obstacle = self.obstacle or answer.reason


class Relay:
    """Publishes the outbox rows of one daemon."""

    def __init__(
        self,
        *,
        database: Database,
        publisher: Publisher,
        find_messages: FindMessages,
        owner: str,
        lanes: Iterable[str],
        limits: RelayLimits,
        metrics: Metrics,
        clock: Callable[[], int],
        keepers: Mapping[str, LaneKeeper] | None = None,
        paces: Mapping[str, Pace] | None = None,
        tell_waiting: TellWaiting = _tell_nobody,
        traces: "Traces | None" = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._find_messages = find_messages
        self._keepers = dict(keepers or {})
        self._paces = dict(paces or {})
        self._tell_waiting = tell_waiting
        self._traces = traces
        self._owner = owner
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._wakes = {lane: asyncio.Event() for lane in lanes}
        self._idle = {lane: asyncio.Event() for lane in self._wakes}
        self._retry = asyncio.Event()

    def wake(self, lanes: Iterable[str]) -> None:
        """Something was committed for *lanes*."""
        for lane in lanes:
            self._idle[lane].clear()
            self._wakes[lane].set()

    def wake_all(self) -> None:
        """Something was committed, for whichever lanes."""
        self.wake(self._wakes)

    def retry_now(self) -> None:
        """What lanes wait for may be there again: end their pauses."""
        self._retry.set()
        self._retry = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled."""
        self.wake(self._wakes)
        async with anyio.create_task_group() as tasks:
            for lane in self._wakes:
                tasks.start_soon(self._run_lane, lane)

    async def flush(self) -> None:
        """Return when every lane has been found empty."""
        await self.empty(self._idle)

    async def empty(self, lanes: Iterable[str]) -> None:
        """Return when each of *lanes* has been found empty."""
        for lane in lanes:
            await self._idle[lane].wait()

    async def _run_lane(self, lane: str) -> None:
        wake, backoff = self._wakes[lane], Backoff(0.2, self._limits.longest_backoff_s, chance)
        while True:
            wake.clear()
            try:
                obstacle = await self._drain(lane)
            except (StorageError, AdapterError) as error:
                obstacle = str(error)
            except Exception as error:  # it must not end the daemon: the rows stay, and are tried again
                log.exception("outbox_lane_broke", lane=lane)
                obstacle = f"{type(error).__name__}: {error}"
            if obstacle is None:
                backoff.reset()
                await self._wait(lane)
            else:
                wait_s = backoff.next_delay_s()
                log.warning("outbox_lane_waits", lane=lane, reason=obstacle, wait_s=round(wait_s, 2))
                await self._back_off(wait_s)

    async def _back_off(self, wait_s: float) -> None:
        with anyio.move_on_after(wait_s):
            await self._retry.wait()

    async def _wait(self, lane: str) -> None:
        """Until the next commit; looking in by itself now and then, for rows adopted from another daemon."""
        keeper = self._keepers.get(lane)
        with anyio.move_on_after(_IDLE_CHECK_S if keeper is None else keeper.idle_check_s):
            await self._wakes[lane].wait()

    async def _drain(self, lane: str) -> str | None:
        """Publish until the lane is empty; the reason where it has to stop before.

        Rounds keep a pace: what is committed meanwhile shares the next one, which costs hardly more than one message,
        and of views for the status bucket those that were overtaken meanwhile are never written.
        """
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            rows, obstacle = await self._go_round(lane)
            if not rows or obstacle is not None:
                return obstacle
            await asyncio.sleep(max(0.0, began + self._paces.get(lane, Pace()).seconds(rows) - clock()))

    async def _go_round(self, lane: str) -> tuple[int, str | None]:
        """Publish what is next: how many rows there were, and why not all of them could be published.

        Of its rows nothing stays here: they may be large.
        """
        rows = await self._database.read(
            lambda uow: uow.outbox.waiting(
                owner=self._owner, lane=lane, limit=self._limits.most_rows, max_bytes=_MOST_BYTES
            )
        )
        if (keeper := self._keepers.get(lane)) is not None:
            await keeper.prepare()
        if not rows:
            if not self._wakes[lane].is_set():
                self._idle[lane].set()
            return 0, None
        done = await self._publish(lane, rows)
        await self._record(lane, done)
        self._count(lane, done)
        return len(rows), done.obstacle

    async def _publish(self, lane: str, rows: Sequence[OutboxRow]) -> _Round:
        done = _Round(tells=lane in self._keepers)
        there = await self._already_there(lane, rows)
        for row in rows:
            if row.position in there:
                done.note(row, Published(PublishStatus.DUPLICATE, there[row.position]))
        to_send = [row for row in rows if row.position not in there]
        published = await self._send(lane, to_send)
        for row, answer in zip(to_send, published, strict=True):
            done.note(row, answer)
        return done

    async def _send(self, lane: str, rows: Sequence[OutboxRow]) -> Sequence[Published]:
        messages = [_outgoing(row) for row in rows]
        if self._traces is None:
            return await self._publisher.publish(lane, messages)
        timed = list(zip(messages, (row.created_at for row in rows), strict=True))
        carried, spans = self._traces.leaving(timed)
        published = await self._publisher.publish(lane, carried)
        self._traces.left(spans, published)
        return published

    async def _already_there(self, lane: str, rows: Sequence[OutboxRow]) -> dict[int, int]:
        """Position -> sequence of rows that were tried, are too old for the stream to remember, and are found in it."""
        horizon = self._clock() - int(self._limits.duplicate_window_s / 2 * _MICROS)
        doubted: defaultdict[str, list[OutboxRow]] = defaultdict(list)
        for row in rows:
            if row.attempts and row.created_at < horizon:
                doubted[row.message.subject].append(row)
        there: dict[int, int] = {}
        for subject, several in doubted.items():
            # One search for all of a subject: after an outage there are thousands, among thousands.
            ids = frozenset(row.message.message_id for row in several)
            found = await self._find_messages(lane, subject, ids, min(row.created_at for row in several))
            there |= {row.position: found[row.message.message_id] for row in several if row.message.message_id in found}
        return there

    async def _record(self, lane: str, done: _Round) -> None:
        """Note what became of the rows; tried for as long as storage is away, for rows that are confirmed and still
        there would be published again, perhaps when their stream does not know them any more."""
        keeper = self._keepers.get(lane)

        def write(uow: UnitOfWork) -> Sequence[OutboxMessage]:
            uow.outbox.remove(done.confirmed)
            uow.outbox.mark_tried(done.unknown, now=self._clock())
            uow.outbox.set_aside(done.refused)
            if keeper is not None and done.sent:
                keeper.record_sent(done.sent, uow)
            return self._tell_waiting(done.set_aside, uow) if done.set_aside else ()

        told = await committed(self._database, write, commit_delay_s=_COMMIT_DELAY_S)
        self.wake({message.lane for message in told})

    def _count(self, lane: str, done: _Round) -> None:
        published = self._metrics.outbox_published
        published.labels(lane, "stored").inc(len(done.confirmed))
        published.labels(lane, "unknown").inc(len(done.unknown))
        published.labels(lane, "refused").inc(len(done.refused))
        for position, reason in done.refused.items():
            log.error("outbox_row_refused", lane=lane, position=position, reason=reason)


def _outgoing(row: OutboxRow) -> Outgoing:
    message = row.message
    return Outgoing(message.subject, message.body, message.message_id, message.headers, tried=row.attempts > 0)
