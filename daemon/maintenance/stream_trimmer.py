"""The loop that trims streams to what is unread."""

import time
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client

from adapters.nats.streams.trim import fullness, trim
from daemon.observability.metrics import Metrics

_HALF_FULL: Final = 0.5


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A stream that is trimmed of what its consumer acknowledged; not while the stream ``advisories`` tells of messages
    that the server gave up on and that are still to be fetched."""

    stream: str
    consumer: str
    advisories: str | None = None


class StreamTrimmer:
    """Purges what is acknowledged: every ``interval_s``, and at once when a stream is over half full."""

    def __init__(self, nc: Client, streams: list[Trimmed], *, interval_s: float, metrics: Metrics) -> None:
        self._nc = nc
        self._streams = streams
        self._interval_s = interval_s
        self._metrics = metrics
        self._due_at = 0.0

    async def step(self) -> None:
        """Trim what is due. Raises :class:`adapters.errors.JetStreamError` where JetStream is away."""
        due = time.monotonic() >= self._due_at
        for trimmed in self._streams:
            if due or (await fullness(self._nc, trimmed.stream)).ratio > _HALF_FULL:
                purged = await trim(self._nc, trimmed.stream, [trimmed.consumer], advisories=trimmed.advisories)
                self._metrics.trimmed.labels(trimmed.stream).inc(purged)
        if due:
            self._due_at = time.monotonic() + self._interval_s
