"""Whatever sizes come, what is judged ahead and what is in one batch is bounded in messages and in bytes."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.gate.delivery import Delivery, Judged, weight
from daemon.intake.in_hand import InHand, in_hand_of, nothing_noted
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


@settings(max_examples=40)
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


class SlowGate(CountingGate):
    """Takes longer over a message than the loop may be held up."""

    def judge(self, delivery: Delivery) -> Judged:
        time.sleep(0.02)
        return super().judge(delivery)


async def test_a_stop_in_the_middle_of_judging_leaves_nothing_in_hand() -> None:
    """Whoever waits until nothing is in hand would wait for what nobody gives back."""
    in_hand = InHand(None, {}, counts=False, after_death=False, clock=time.monotonic)
    judging = Judging(Stream([100] * 5), SlowGate(), in_hand, LIMITS)
    running = asyncio.create_task(judging.run())
    await judging.arrived.wait()
    running.cancel()
    await asyncio.wait([running])

    left_over = list(judging.left_over())
    assert [delivery.sequence for delivery in left_over] == [1, 2, 3, 4, 5]
    in_hand.waits(left_over)
    async with asyncio.timeout(60), in_hand.nothing_else():
        pass


async def test_what_is_judged_and_waits_for_its_commit_is_not_to_blame_for_a_death(tmp_path: Path) -> None:
    in_hand, _ = in_hand_of(tmp_path)
    judging = Judging(Stream([100] * 80), CountingGate(), in_hand, LIMITS)
    await judging.run()
    batch = judging.next_batch()
    await in_hand.resume([judged.delivery for judged in batch])

    next_life, died = in_hand_of(tmp_path)

    assert died
    assert {sequence for _, sequence in next_life.suspects} == set(range(1, LIMITS.max_batch + 1))


@pytest.mark.parametrize(("after_death", "first"), [(False, 900), (True, 512)])
async def test_after_a_death_a_batch_is_small_until_work_has_gone_on_for_seconds(after_death: bool, first: int) -> None:
    now = [0.0]
    in_hand = InHand(None, {}, counts=False, after_death=after_death, clock=lambda: now[0])
    judging = Judging(Stream([10] * 2_000), CountingGate(), in_hand, IntakeLimits(max_batch=900))
    await judging.run()

    assert len(judging.next_batch()) == first
    now[0] = 10.0
    assert len(judging.next_batch()) == 900
