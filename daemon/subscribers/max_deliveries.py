"""Fetches what the server gave up on, and keeps it.

The server tells of each such message once, by an advisory that a stream of ours keeps until the message is stored here.
While one lies there, no stream is trimmed: the message would go with the others.
"""

from collections.abc import Callable, Iterable
from typing import Final

import structlog
from nats.aio.client import Client

from adapters.errors import AdapterError
from adapters.nats.streams.advisories import GivenUp, parse_given_up
from adapters.nats.streams.stored_messages import StoredMessage, message_at
from contracts.gate.delivery import Delivery
from contracts.subjects import Family, Subjects
from daemon.intake.ports import Gatekeeper
from daemon.observability.metrics import Metrics
from daemon.subscribers.subscriber import Received
from daemon.transactions import chance, committed
from domain.backoff import Backoff
from handlers.dead_letters.max_deliveries import keep_given_up, open_given_up
from handlers.effects import Context
from handlers.replays.replays import as_first_arrived, claimed_by
from storage.engine.database import Database
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_UNREAD_FROM_DELIVERY: Final = 3
"""From this delivery of an advisory on, its message is kept without being looked at: it may be what ends processes."""


class GivenUpMessages:
    """Keeps what the server gave up on."""

    def __init__(
        self,
        nc: Client,
        *,
        gate: Gatekeeper,
        subjects: Subjects,
        database: Database,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
        metrics: Metrics,
    ) -> None:
        self._nc = nc
        self._gate = gate
        self._subjects = subjects
        self._database = database
        self._context = context
        self._wake = wake
        self._metrics = metrics
        self._backoff = Backoff(first_s=0.5, most_s=30.0, chance=chance)

    async def __call__(self, advisory: Received) -> float | None:
        """Keep the message of one advisory; later, where it cannot be fetched now."""
        try:
            given_up = parse_given_up(advisory.body)
        except ValueError:
            self._metrics.forged.labels(self._subjects.advisory_stream).inc()
            log.warning("advisory_unreadable")
            return None
        try:
            message = await message_at(self._nc, given_up.stream, given_up.sequence)
        except AdapterError as error:
            log.warning("given_up_message_not_fetched", stream=given_up.stream, reason=str(error))
            return self._backoff.next_delay_s()
        self._backoff.reset()
        if message is None:
            log.error("given_up_message_gone", stream=given_up.stream, sequence=given_up.sequence)
        else:
            await self._keep(given_up, message, look=advisory.delivered < _UNREAD_FROM_DELIVERY)
        return None

    async def _keep(self, given_up: GivenUp, message: StoredMessage, *, look: bool) -> None:
        subject = self._subjects.bare(message.subject) or message.subject
        delivery = Delivery(
            subject,
            message.body,
            message.headers,
            given_up.stream,
            message.sequence,
            given_up.deliveries,
            message.stored_at,
            "",
        )
        if given_up.stream == self._subjects.stream(Family.REPLAY):
            await committed(self._database, lambda uow: self._open_again(delivery, uow))
            messages: list[OutboxMessage] = []
        else:
            judged = self._gate.judge(delivery) if look else None
            messages = await committed(
                self._database, lambda uow: keep_given_up(delivery, judged, uow, self._context())
            )
            self._wake({message.lane for message in messages})
        self._metrics.given_up.labels(given_up.stream).inc()
        log.error(
            "message_given_up",
            stream=given_up.stream,
            sequence=given_up.sequence,
            deliveries=given_up.deliveries,
            kept=bool(messages),
        )

    def _open_again(self, delivery: Delivery, uow: UnitOfWork) -> None:
        key = claimed_by(delivery)
        original = None if key is None else uow.replays.originals([key]).get(key)
        arrived = as_first_arrived(delivery, original)
        if arrived is not None and arrived.lineage is not None:
            open_given_up(arrived.lineage, delivery.delivered, uow, self._context())
