"""The outbox relay: moves committed messages to their streams, lane by lane.

A lane is a stream with a task and a backoff of its own, so that a full or missing stream delays nobody else. A row
leaves the table only when its stream confirmed it. What may have been published before (a row inherited from a daemon
that ended, or one whose try ended without an answer) carries the same ``Nats-Msg-Id`` again, which the stream knows for
its duplicate window; a row older than half of that window is looked up first.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import anyio
import structlog

from adapters.outgoing import Outcome, Outgoing, Published
from adapters.publisher import StreamPublisher
from daemon.metrics import Metrics
from domain.backoff import Backoff
from storage.database import Database
from storage.failures import StorageError
from storage.outbox import OutboxRow
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_MOST_BYTES: Final = 4 * 2**20
_IDLE_CHECK_S: Final = 5.0
_MICROS: Final = 1_000_000

LastMessageId: TypeAlias = Callable[[str, str], Awaitable[str | None]]
"""(stream, subject) -> the ``Nats-Msg-Id`` of the last message there."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """``most_rows`` of one publish; ``longest_backoff_s`` of a lane; the streams' duplicate window."""

    most_rows: int
    longest_backoff_s: float
    duplicate_window_s: float = 120.0


@dataclass(slots=True)
class _Round:
    """What one round through a lane came to, by the positions of its rows."""

    confirmed: list[int]
    unknown: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    obstacle: str | None = None

    def note(self, position: int, answer: Published) -> None:
        match answer.outcome:
            case Outcome.STORED | Outcome.DUPLICATE:
                self.confirmed.append(position)
            case Outcome.REFUSED:
                self.refused[position] = answer.reason
            case Outcome.UNKNOWN:
                self.unknown.append(position)
                self.obstacle = self.obstacle or answer.reason
            case Outcome.UNAVAILABLE:
                self.obstacle = self.obstacle or answer.reason


class Relay:
    """Publishes the outbox rows of one daemon."""

    def __init__(
        self,
        *,
        database: Database,
        publisher: StreamPublisher,
        last_message_id: LastMessageId,
        owner: str,
        lanes: Iterable[str],
        limits: RelayLimits,
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._last_message_id = last_message_id
        self._owner = owner
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._wakes = {lane: asyncio.Event() for lane in lanes}
        self._idle = {lane: asyncio.Event() for lane in self._wakes}

    def wake(self, lanes: Iterable[str]) -> None:
        """Something was committed for *lanes*."""
        for lane in lanes:
            self._idle[lane].clear()
            self._wakes[lane].set()

    async def run(self) -> None:
        """Relay until cancelled."""
        self.wake(self._wakes)
        async with anyio.create_task_group() as tasks:
            for lane in self._wakes:
                tasks.start_soon(self._run_lane, lane)

    async def flush(self) -> None:
        """Return when every lane has been found empty."""
        for idle in self._idle.values():
            await idle.wait()

    async def _run_lane(self, lane: str) -> None:
        wake, backoff = self._wakes[lane], Backoff(first_s=0.2, most_s=self._limits.longest_backoff_s)
        while True:
            wake.clear()
            try:
                obstacle = await self._drain(lane)
            except StorageError as error:
                obstacle = str(error)
            if obstacle is None:
                backoff.reset()
                await self._wait(wake)
            else:
                wait_s = backoff.next_delay_s(random.random())  # noqa: S311 - jitter, not a secret
                log.warning("outbox_lane_waits", lane=lane, reason=obstacle, wait_s=round(wait_s, 2))
                await asyncio.sleep(wait_s)

    async def _wait(self, wake: asyncio.Event) -> None:
        """Until the next commit; looking in by itself now and then, for rows adopted from another daemon."""
        with anyio.move_on_after(_IDLE_CHECK_S):
            await wake.wait()

    async def _drain(self, lane: str) -> str | None:
        """Publish until the lane is empty; the reason where it has to stop before."""
        while True:
            rows = await self._database.read(
                lambda uow: uow.outbox.waiting(
                    owner=self._owner, lane=lane, limit=self._limits.most_rows, max_bytes=_MOST_BYTES
                )
            )
            if not rows:
                if not self._wakes[lane].is_set():
                    self._idle[lane].set()
                return None
            done = await self._publish(lane, rows)
            await self._record(done)
            self._count(lane, done)
            if done.obstacle is not None:
                return done.obstacle

    async def _publish(self, lane: str, rows: Sequence[OutboxRow]) -> _Round:
        there = await self._already_there(lane, rows)
        to_send = [row for row in rows if row.position not in there]
        published = await self._publisher.publish(lane, [_outgoing(row) for row in to_send])
        done = _Round(confirmed=list(there))
        for row, answer in zip(to_send, published, strict=True):
            done.note(row.position, answer)
        return done

    async def _already_there(self, lane: str, rows: Sequence[OutboxRow]) -> set[int]:
        """Rows that were tried, are too old for the stream to remember, and are found to be its last message."""
        horizon = self._clock() - int(self._limits.duplicate_window_s / 2 * _MICROS)
        there: set[int] = set()
        for row in rows:
            if row.attempts and row.created_at < horizon:
                last = await self._last_message_id(lane, row.message.subject)
                if last == row.message.message_id:
                    there.add(row.position)
        return there

    async def _record(self, done: _Round) -> None:
        def write(uow: UnitOfWork) -> None:
            uow.outbox.remove(done.confirmed)
            uow.outbox.mark_tried(done.unknown, now=self._clock())
            uow.outbox.set_aside(done.refused)

        await self._database.write(write)

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
