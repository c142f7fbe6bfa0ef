"""Whatever sizes come, what is judged ahead and what is in one batch is bounded in messages and in bytes."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.gate.delivery import Delivery, Judged, weight
from daemon.intake.in_hand import nothing_noted
from daemon.intake.judging import Judging, unjudged
from daemon.intake.ports import IntakeLimits
from handlers.batch import INTERNAL

LIMITS = IntakeLimits(max_batch=50, max_judged=250, max_bytes=300_000)


class Stream:
    """Hands out deliveries of given sizes, then ends."""

    def __init__(self, sizes: Iterable[int]) -> None:
        self.waiting = deque(
            Delivery("ingest.x", b"x" * size, {}, "HG_INGEST", number, 1, 0, "")
            for number, size in enumerate(sizes, start=1)
        )

    async def take(self, limit: int) -> Sequence[Delivery]:
        return [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]

    async def ack(self, deliveries: Iterable[Delivery]) -> int:
        return len(list(deliveries))

    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool:
        return bool(delivery) and delay_s >= 0

    async def in_progress(self, delivery: Delivery) -> bool:
        return bool(delivery)

    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


class CountingGate:
    """A gate that counts the bytes that it has judged."""

    def __init__(self) -> None:
        self.judged_bytes = 0
        self.judged = 0

    def judge(self, delivery: Delivery) -> Judged:
        self.judged_bytes += weight(delivery)
        self.judged += 1
        return unjudged(delivery, INTERNAL)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.integers(0, 300), st.integers(0, 600_000)), max_size=300))
def test_any_mix_of_sizes_stays_within_the_bounds(sizes: list[int]) -> None:
    asyncio.run(work_off(sizes))


async def work_off(sizes: list[int]) -> None:
    gate = CountingGate()
    judging = Judging(Stream(sizes), gate, nothing_noted(), LIMITS)
    running = asyncio.create_task(judging.run())
    order: list[int] = []
    committed_bytes = committed = 0
    while len(order) < len(sizes):
        await judging.arrived.wait()
        for _ in range(3):  # let it judge as far ahead as it may
            await asyncio.sleep(0)
        assert gate.judged_bytes - committed_bytes <= max([*sizes, LIMITS.max_bytes])
        assert gate.judged - committed <= LIMITS.max_judged
        batch = judging.next_batch()
        total = sum(weight(judged.delivery) for judged in batch)
        assert len(batch) <= LIMITS.max_batch
        assert total <= LIMITS.max_bytes or len(batch) == 1
        committed_bytes += total
        committed += len(batch)
        order += [judged.delivery.sequence for judged in batch]
    await running

    assert order == list(range(1, len(sizes) + 1))
