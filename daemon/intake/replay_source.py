"""The stream of replays as an intake sees it: only what is a replay, and as its message first arrived.

What is none (forged, repeated, superseded) is acknowledged without effect and counted.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import anyio
import structlog

from contracts.gate.delivery import Delivery, Judged
from daemon.intake.ports import Gatekeeper, Source
from daemon.observability.metrics import Metrics
from daemon.transactions import committed
from handlers.dead_letters.dead_letters import IMPORT_STREAM
from handlers.replays.replays import as_first_arrived, claimed_by
from storage.engine.database import Database
from storage.engine.failures import DataRefused
from storage.journal.replays import Original, ReplayKey
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")

log = structlog.get_logger(__name__)

_MOST_AT_ONCE: Final = 100
"""Their bodies are read from the database beside those of the stream: fewer in hand than of live messages."""

_MOST_BYTES: Final = 2 * 1024 * 1024


class ReplaySource:
    """Wraps the pull of the replay stream."""

    def __init__(self, pull: Source, database: Database, metrics: Metrics) -> None:
        self._pull = pull
        self._database = database
        self._metrics = metrics

    async def take(self, limit: int) -> Sequence[Delivery]:
        """Wait for at least one replay; empty only once the pull is stopped. Raises what the pull raises.

        A stop while what was taken is looked up gives it back: nobody else knows of it yet.
        """
        while taken := await self._pull.take(min(limit, _MOST_AT_ONCE)):
            try:
                replays = await self._replays_among(taken)
            except asyncio.CancelledError:
                with anyio.CancelScope(shield=True):
                    for delivery in taken:
                        await self._pull.give_back(delivery)
                raise
            if replays:
                return replays
        return []

    async def _replays_among(self, taken: Sequence[Delivery]) -> Sequence[Delivery]:
        replays: list[Delivery] = []
        ignored: list[Delivery] = []
        for part in await self._parts(taken):
            originals = await self._originals(_keys(part))
            for delivery in part:
                key = claimed_by(delivery)
                arrived = as_first_arrived(delivery, None if key is None else originals.get(key))
                if arrived is None:
                    ignored.append(delivery)
                else:
                    replays.append(arrived)
        if ignored:
            self._metrics.replays_ignored.inc(len(ignored))
            self._metrics.forged.labels(ignored[0].stream).inc(len(ignored))
            log.warning("replays_ignored", count=len(ignored), first_sequence=ignored[0].sequence)
            await self._pull.ack(ignored)
        return replays

    async def _parts(self, taken: Sequence[Delivery]) -> Sequence[Sequence[Delivery]]:
        """*taken* in parts whose originals may be in memory together: a small message can name a large letter."""
        letters = sorted({letter for letter, _ in _keys(taken)})
        nothing: Mapping[str, int] = {}
        sizes = await self._read(nothing, lambda uow: uow.replays.sizes(letters))
        parts: list[list[Delivery]] = [[]]
        total = 0
        for delivery in taken:
            key = claimed_by(delivery)
            size = 0 if key is None else sizes.get(key[0], 0)
            if parts[-1] and total + size > _MOST_BYTES:
                parts.append([])
                total = 0
            parts[-1].append(delivery)
            total += size
        return parts

    async def _originals(self, keys: Sequence[ReplayKey]) -> Mapping[ReplayKey, Original]:
        nothing: Mapping[ReplayKey, Original] = {}
        return await self._read(nothing, lambda uow: uow.replays.originals(keys))

    async def _read(self, none: T, query: Callable[[UnitOfWork], T]) -> T:
        """Waits for as long as storage is away; *none* where it cannot even take the question."""
        try:
            return await committed(self._database, query, reading=True)
        except DataRefused as error:
            log.warning("replays_not_looked_up", reason=str(error))
            return none

    async def ack(self, deliveries: Iterable[Delivery]) -> int:
        return await self._pull.ack(deliveries)

    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool:
        return await self._pull.give_back(delivery, delay_s)

    async def in_progress(self, delivery: Delivery) -> bool:
        return await self._pull.in_progress(delivery)

    async def pause(self) -> None:
        await self._pull.pause()

    async def resume(self) -> None:
        await self._pull.resume()


def _keys(deliveries: Sequence[Delivery]) -> list[ReplayKey]:
    return sorted({key for delivery in deliveries if (key := claimed_by(delivery)) is not None})


class NothingOlder:
    """Replays follow no order: one that comes too early is decided as it stands."""

    async def none_outstanding(self, held: Sequence[Delivery], batch: Sequence[Delivery]) -> list[Delivery]:  # noqa: ARG002 - the port's shape
        return list(held)


class ReplayGate:
    """Judges replays as their messages were judged first: what was imported, by the rules of imports."""

    def __init__(self, gate: Gatekeeper, imports: Gatekeeper) -> None:
        self._gate = gate
        self._imports = imports

    def judge(self, delivery: Delivery) -> Judged:
        return (self._imports if delivery.stream == IMPORT_STREAM else self._gate).judge(delivery)
