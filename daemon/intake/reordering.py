"""Whether a message that came too early may still be waiting for older ones, or is to be decided as it stands.

A consumer's acknowledgement floor is the sequence up to which nothing is open. What lies between it and a message, and
is not in the message's own batch, may be in another daemon's hands or given back for a while.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from nats.aio.client import Client

from adapters.errors import JetStreamError
from adapters.nats.streams.trim import ack_floor
from contracts.gate.delivery import Delivery, Judged

log = structlog.get_logger(__name__)


class OlderMessages:
    """Looks for older messages of one consumer. Asked only where something came too early: it costs a request."""

    def __init__(self, nc: Client, stream: str, consumer: str) -> None:
        self._nc = nc
        self._stream = stream
        self._consumer = consumer

    async def none_outstanding(self, held: Sequence[Delivery], batch: Sequence[Delivery]) -> list[Delivery]:
        """Those of *held* for which no older message is unacknowledged outside *batch*."""
        try:
            floor = await ack_floor(self._nc, self._stream, self._consumer)
        except JetStreamError as error:
            log.warning("acknowledgement_floor_unknown", consumer=self._consumer, reason=str(error))
            return []
        return nothing_older(held, batch, floor)


def nothing_older(held: Sequence[Delivery], batch: Sequence[Delivery], floor: int) -> list[Delivery]:
    """Those of *held* before which every sequence above *floor* is in *batch*."""
    own = {delivery.sequence for delivery in batch if delivery.sequence > floor}
    clear: list[Delivery] = []
    for delivery in held:
        between = max(0, delivery.sequence - floor - 1)
        if sum(sequence < delivery.sequence for sequence in own) >= between:
            clear.append(delivery)
    return clear


TRY_AGAIN_S: Final = 0.03
KEEP_S: Final = 10.0
_MOST_KEPT: Final = 1_000


@dataclass(slots=True)
class _Early:
    judged: Judged
    since: float
    touched: float


class WaitingRoom:
    """Messages that came too early and are kept in hand for a while, for what they wait for is mostly on its way.

    Giving a message back costs a round trip and a fixed delay, and each message that waits for it waits that long in
    turn: a whole row of callbacks of one job would need minutes. ``touch_every_s`` is how often the server must be told
    that a message is still worked on. Times are seconds of the monotonic *clock*.
    """

    def __init__(
        self, *, touch_every_s: float, keep_s: float = KEEP_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._touch_every_s = touch_every_s
        self._keep_s = keep_s
        self._clock = clock
        self._waiting: dict[int, _Early] = {}
        self._try_at = math.inf

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def pause_s(self) -> float:
        """How long until those that wait are to be tried again."""
        return max(0.0, self._try_at - self._clock())

    def keep(self, judged: Judged) -> bool:
        """Take one in that came too early; false where it is to be given back: it was kept long enough, or there is no
        room."""
        now, sequence = self._clock(), judged.delivery.sequence
        known = self._waiting.get(sequence)
        if known is None:
            if len(self._waiting) >= _MOST_KEPT:
                return False
            known = self._waiting[sequence] = _Early(judged, now, now)
        known.judged = judged  # perhaps a redelivery: the newest is the one to answer
        self._try_at = min(self._try_at, now + TRY_AGAIN_S)
        return now - known.since <= self._keep_s

    def due(self) -> list[Judged]:
        """All of them, the oldest first, when it is time to try them again; they stay until they are :meth:`let_go`."""
        if self.pause_s > 0:
            return []
        self._try_at = math.inf
        return [self._waiting[sequence].judged for sequence in sorted(self._waiting)]

    def to_touch(self) -> list[Judged]:
        """Those whose acknowledgement time is to be renewed now."""
        now = self._clock()
        quiet = [early for early in self._waiting.values() if now - early.touched >= self._touch_every_s]
        for early in quiet:
            early.touched = now
        return [early.judged for early in quiet]

    def let_go(self, judged: Judged) -> None:
        """It is decided or answered."""
        self._waiting.pop(judged.delivery.sequence, None)

    def empty(self) -> list[Judged]:
        """All of them, to be given back."""
        waiting = [early.judged for early in self._waiting.values()]
        self._waiting.clear()
        self._try_at = math.inf
        return waiting
