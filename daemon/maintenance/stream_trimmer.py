"""The loop that trims streams to what is unread."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client

from adapters.nats.streams.trim import fullness, has_redeliveries, trim
from daemon.observability.metrics import Metrics

_HALF_FULL: Final = 0.5
_PATIENCE: Final = 6
"""How many times in a row a stream with redeliveries is passed over."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A stream that is trimmed of what its consumer acknowledged; not while the stream ``advisories`` tells of messages
    that the server gave up on and that are still to be fetched."""

    stream: str
    consumer: str
    advisories: str | None = None


class StreamTrimmer:
    """Purges what is acknowledged: every ``interval_s``, and at once when a stream is over half full.

    While messages are delivered again it has some patience, for a purge holds them back; most of all at the start, for
    what a predecessor held has just been given back.
    """

    def __init__(self, nc: Client, streams: list[Trimmed], *, interval_s: float, metrics: Metrics) -> None:
        self._nc = nc
        self._streams = streams
        self._interval_s = interval_s
        self._metrics = metrics
        self._due_at = time.monotonic() + interval_s
        self._passed_over: Counter[str] = Counter()

    async def step(self) -> None:
        """Trim what is due. Raises :class:`adapters.errors.JetStreamError` where JetStream is away."""
        due = time.monotonic() >= self._due_at
        for trimmed in self._streams:
            half_full = (await fullness(self._nc, trimmed.stream)).ratio > _HALF_FULL
            if (due or half_full) and not await self._passes_over(trimmed, due=due, half_full=half_full):
                purged = await trim(self._nc, trimmed.stream, [trimmed.consumer], advisories=trimmed.advisories)
                self._metrics.trimmed.labels(trimmed.stream).inc(purged)
        if due:
            self._due_at = time.monotonic() + self._interval_s

    async def _passes_over(self, trimmed: Trimmed, *, due: bool, half_full: bool) -> bool:
        stream = trimmed.stream
        has_had_patience = self._passed_over[stream] >= _PATIENCE or (due and half_full)
        if has_had_patience or not await has_redeliveries(self._nc, stream, trimmed.consumer):
            self._passed_over[stream] = 0
            return False
        self._passed_over[stream] += due
        return True
