"""The figures that are read rather than counted: what waits in the outbox, in the streams, and for an operator."""

from collections.abc import Sequence

from nats.aio.client import Client

from adapters.nats.jetstream_api import api_request, integer
from adapters.nats.streams.pull import ContinuousPull
from daemon.clock import now_micros
from daemon.observability.metrics import Metrics
from storage.engine.database import Database
from storage.journal.outbox import OutboxDepth
from storage.unit_of_work import UnitOfWork

_MICROS = 1_000_000
_MOST_STUCK = 10_000


class Gauges:
    """Reads every gauge again, one step at a time."""

    def __init__(self, database: Database, nc: Client, pulls: Sequence[ContinuousPull], metrics: Metrics) -> None:
        self._database = database
        self._nc = nc
        self._pulls = pulls
        self._metrics = metrics

    async def read_database(self) -> None:
        """Raises the errors of :mod:`storage.engine.failures`."""

        def look(uow: UnitOfWork) -> tuple[OutboxDepth, int, int]:
            stuck = uow.alert_readings.overdue_jobs(now=now_micros(), most=_MOST_STUCK)
            return uow.outbox.depth(), uow.dead_letters.count_open(), stuck

        depth, dead_letters_open, stuck = await self._database.read(look)
        metrics = self._metrics
        metrics.outbox_rows.set(depth.pending)
        metrics.outbox_failed.set(depth.failed)
        age_s = 0.0 if depth.oldest_at is None else max(0.0, (now_micros() - depth.oldest_at) / _MICROS)
        metrics.outbox_oldest_seconds.set(age_s)
        metrics.dead_letters_open.set(dead_letters_open)
        metrics.jobs_stuck.set(stuck)

    async def read_consumers(self) -> None:
        """Raises :class:`adapters.errors.JetStreamError` where JetStream is away."""
        for pull in self._pulls:
            info = await api_request(self._nc, f"CONSUMER.INFO.{pull.stream}.{pull.consumer}")
            self._metrics.consumer_pending.labels(pull.consumer).set(integer(info, "num_pending"))
            self._metrics.consumer_unacknowledged.labels(pull.consumer).set(integer(info, "num_ack_pending"))
