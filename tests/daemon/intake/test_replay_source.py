"""Replays are looked up before they are taken in; whatever happens meanwhile, none is lost to a stop."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from contracts.gate.delivery import Delivery
from daemon.intake.replay_source import ReplaySource
from daemon.observability.metrics import Metrics
from storage.engine.failures import StorageAway
from tests.adapters.nats.waiting import eventually_awaited
from tests.support.failing_database import FailingDatabase

DELIVERY = Delivery("replay.ingest.session.usage", b"{}", {}, "HG_REPLAY", 7, 1, 0, "$JS.ACK.7")


class Stream:
    """Hands out one replay, then waits."""

    def __init__(self) -> None:
        self.given_back: list[Delivery] = []
        self._waiting = [DELIVERY]

    async def take(self, limit: int) -> Sequence[Delivery]:
        assert limit
        if not self._waiting:
            await asyncio.Event().wait()
        return [self._waiting.pop()]

    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool:
        assert delay_s == 0
        self.given_back.append(delivery)
        return True

    async def ack(self, deliveries: Iterable[Delivery]) -> int:
        raise AssertionError(list(deliveries))

    async def in_progress(self, delivery: Delivery) -> bool:
        raise AssertionError(delivery)

    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


async def test_a_stop_while_storage_is_away_gives_back_what_was_taken() -> None:
    stream = Stream()
    database = FailingDatabase(*[StorageAway("locked")] * 1_000)

    async def has_begun() -> bool:
        return database.left < 1_000

    source = ReplaySource(stream, database, Metrics())
    taking = asyncio.create_task(source.take(10))
    await eventually_awaited(has_begun)
    taking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await taking
    assert stream.given_back == [DELIVERY]
