"""The stream of replays as an intake sees it: only what is a replay, and as its message first arrived.

What is none (forged, repeated, superseded) is acknowledged without effect and counted.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from contracts.gate.delivery import Delivery, Judged
from daemon.intake.ports import Gatekeeper, Source
from daemon.observability.metrics import Metrics
from daemon.transactions import chance
from domain.backoff import Backoff
from handlers.dead_letters.dead_letters import IMPORT_STREAM
from handlers.replays.replays import as_first_arrived, claimed_by
from storage.engine.database import Database
from storage.engine.failures import StorageError
from storage.journal.replays import Original, ReplayKey

log = structlog.get_logger(__name__)

_MOST_AT_ONCE: Final = 100
"""Their bodies are read from the database beside those of the stream: fewer in hand than of live messages."""


class ReplaySource:
    """Wraps the pull of the replay stream."""

    def __init__(self, pull: Source, database: Database, metrics: Metrics) -> None:
        self._pull = pull
        self._database = database
        self._metrics = metrics
        self._backoff = Backoff(0.1, 5.0, chance)

    async def take(self, limit: int) -> Sequence[Delivery]:
        """Wait for at least one replay; empty only once the pull is stopped. Raises what the pull raises."""
        while taken := await self._pull.take(min(limit, _MOST_AT_ONCE)):
            if replays := await self._replays_among(taken):
                return replays
        return []

    async def _replays_among(self, taken: Sequence[Delivery]) -> Sequence[Delivery]:
        originals = await self._originals(taken)
        replays: list[Delivery] = []
        ignored: list[Delivery] = []
        for delivery in taken:
            key = claimed_by(delivery)
            arrived = as_first_arrived(delivery, None if key is None else originals.get(key))
            if arrived is None:
                ignored.append(delivery)
            else:
                replays.append(arrived)
        if ignored:
            self._metrics.replays_ignored.inc(len(ignored))
            log.warning("replays_ignored", count=len(ignored), first_sequence=ignored[0].sequence)
            await self._pull.ack(ignored)
        return replays

    async def _originals(self, taken: Sequence[Delivery]) -> dict[ReplayKey, Original]:
        """Waits for as long as storage is away."""
        keys = sorted({key for delivery in taken if (key := claimed_by(delivery)) is not None})
        while True:
            try:
                found = await self._database.read(lambda uow: uow.replays.originals(keys))
            except StorageError as error:
                log.warning("replays_wait", reason=str(error))
                await asyncio.sleep(self._backoff.next_delay_s())
            else:
                self._backoff.reset()
                return dict(found)

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
