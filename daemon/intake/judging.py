"""The first half of an intake: take what arrives, set suspects apart, judge the rest ahead of the commits.

Judging goes in slices between two turns of the loop, bounded by messages, bytes and time, so that nothing that arrives
keeps the loop from its other work.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from contracts.errors import Problem
from contracts.gate.delivery import Delivery, Judged, Refused, weight
from contracts.gate.examination import UNKNOWN_KIND
from contracts.registry import REGISTRY
from daemon.intake.in_hand import InHand
from daemon.intake.ports import Gatekeeper, IntakeLimits, Source
from domain.intake.suspects import Suspicion
from handlers.batch import INTERNAL

log = structlog.get_logger(__name__)

_SLICE: Final = 200
_SLICE_BYTES: Final = 256 * 1024
_SLICE_S: Final = 0.005


class Judging:
    """What has arrived and is judged, in order, and what is to be worked on apart.

    ``arrived`` is set where there is something for the committing half, ``full`` where that is a batch of the most
    messages that go into one.
    """

    def __init__(self, source: Source, gate: Gatekeeper, in_hand: InHand, limits: IntakeLimits) -> None:
        self._source = source
        self._gate = gate
        self._in_hand = in_hand
        self._limits = limits
        self._judged: deque[Judged] = deque()
        self._bytes = 0
        self._suspects: list[tuple[Delivery, Suspicion]] = []
        self._not_judged: list[Delivery] = []
        self._room = asyncio.Event()
        self._suspects_done = asyncio.Event()
        self.arrived: Final = asyncio.Event()
        self.full: Final = asyncio.Event()

    async def run(self) -> None:
        """Until the source has ended. Raises what the source raises."""
        while await self._take():
            if self._suspects:
                self._suspects_done.clear()
                self.arrived.set()
                await self._suspects_done.wait()
            while self._not_judged:
                await self._judge_slice()

    def judge(self, delivery: Delivery) -> Judged:
        try:
            return self._gate.judge(delivery)
        except Exception:  # a mistake of ours about one body must not stop all others
            log.exception("gate_failed", subject=delivery.subject, sequence=delivery.sequence)
            return unjudged(delivery, INTERNAL)

    def next_batch(self) -> list[Judged]:
        """What is judged by now, in the limits of one transaction."""
        judged, limits = self._judged, self._limits
        most = self._in_hand.most_at_once(limits.max_batch)
        batch: list[Judged] = []
        total = 0
        while judged and len(batch) < most:
            size = weight(judged[0].delivery)
            if batch and total + size > limits.max_bytes:
                break
            total += size
            batch.append(judged.popleft())
        self._bytes -= total
        if len(judged) < limits.max_batch:
            self.full.clear()
        if not judged and not self._suspects:
            self.arrived.clear()
        self._room.set()
        return batch

    @property
    def suspects(self) -> Sequence[tuple[Delivery, Suspicion]]:
        """What is to be worked on apart before anything else is judged."""
        return self._suspects

    def suspects_done(self) -> None:
        self._suspects = []
        if not self._judged:
            self.arrived.clear()
        self._suspects_done.set()

    def left_over(self) -> Iterator[Delivery]:
        """What was taken and not worked on."""
        yield from (judged.delivery for judged in self._judged)
        yield from (delivery for delivery, _ in self._suspects)
        yield from self._not_judged

    async def _take(self) -> bool:
        deliveries = await self._source.take(self._limits.max_batch)
        self._not_judged = self._without_suspects(deliveries)
        return bool(deliveries)

    def _without_suspects(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        others: list[Delivery] = []
        for delivery in deliveries:
            suspicion = self._in_hand.suspicion(delivery)
            if suspicion is None:
                others.append(delivery)
            else:
                self._suspects.append((delivery, suspicion))
        return others

    async def _judge_slice(self) -> None:
        """Nothing of it is held on to: the next one may be waited for long, and bodies may be large."""
        clock = asyncio.get_running_loop().time
        part = self._next_slice()
        await self._wait_for_room(part)
        await self._in_hand.work_on(part)
        judged: list[Judged] = []
        began = clock()
        for delivery in part:
            judged.append(self.judge(delivery))
            if clock() - began > _SLICE_S:
                await self._hand_over(judged)
                judged = []
                began = clock()
        await self._hand_over(judged)

    async def _hand_over(self, judged: Sequence[Judged]) -> None:
        """To the committing half, which notes them again once it works on them: waiting for it, they end no process.

        Only now are they no longer to be judged: where a stop comes between, what is left of a slice is given back.
        """
        del self._not_judged[: len(judged)]
        deliveries = [each.delivery for each in judged]
        self._in_hand.waits(deliveries)
        self._bytes += sum(map(weight, deliveries))
        self._judged.extend(judged)
        self.arrived.set()
        if len(self._judged) >= self._limits.max_batch:
            self.full.set()
        await asyncio.sleep(0)

    def _next_slice(self) -> list[Delivery]:
        part: list[Delivery] = []
        total = 0
        for delivery in self._not_judged[: self._in_hand.most_at_once(_SLICE)]:
            total += weight(delivery)
            if part and total > _SLICE_BYTES:
                break
            part.append(delivery)
        return part

    async def _wait_for_room(self, part: Sequence[Delivery]) -> None:
        messages, size = len(part), sum(map(weight, part))
        limits = self._limits
        while self._judged and (
            len(self._judged) + messages > limits.max_judged or self._bytes + size > limits.max_bytes
        ):
            self._room.clear()
            await self._room.wait()


def unjudged(delivery: Delivery, why: Problem) -> Refused:
    """A refusal of a message whose body nobody has looked at: its kind is its subject's."""
    contract = REGISTRY.addressed(delivery.subject)
    return Refused(why, contract.kind if contract else UNKNOWN_KIND, None, None, delivery)
