"""Keeps the consumers that workers bind to: one that vanishes is made again within seconds."""

from collections.abc import Sequence
from typing import Final

from nats.aio.client import Client

from adapters.nats.streams.provisioning import ensure_work_consumer
from adapters.nats.streams.topology import Consumer

KEEP_S: Final = 5.0


class WorkConsumers:
    """``in_the_way`` says which of them cannot be made and why, for the health check."""

    def __init__(self, nc: Client, consumers: Sequence[Consumer]) -> None:
        self._nc = nc
        self._consumers = consumers
        self.in_the_way: list[str] = []

    async def step(self) -> None:
        """Raises :class:`adapters.errors.JetStreamError` where JetStream is away."""
        reasons = [await ensure_work_consumer(self._nc, consumer) for consumer in self._consumers]
        self.in_the_way = [reason for reason in reasons if reason is not None]
