"""Telling notifiers: one subscriber for each, in order. What is to be told is read from the database, never from the
message, which may be forged; what became of it is kept there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import orjson
import structlog
from pydantic import ValidationError

from adapters.notifiers.base import Notifier, Refused, Sent, TryAgain
from contracts.payloads.operations.alerts import AlertNotification
from contracts.values.alerts import NoticeState
from daemon.observability.metrics import Metrics
from daemon.subscribers.alert_messages import MessageTerms, alert_message
from daemon.subscribers.subscriber import Received
from daemon.transactions import PATIENT, committed
from domain.backoff import delay_s
from storage.alerts.alerts import Notification, NotificationKey, StoredTransition
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

GIVE_UP_AFTER: Final = timedelta(days=1)
_FIRST_S: Final = 1.0
_MOST_S: Final = 300.0
_LONGEST_ASKED_S: Final = 3_600.0
_MICROS: Final = 1_000_000
_OUTCOMES: Final = (NoticeState.SENT, NoticeState.GIVEN_UP)
_RETRY: Final = "retry"


class NotificationDelivery:
    """Delivers the notifications of one notifier."""

    def __init__(
        self,
        database: Database,
        name: str,
        notifier: Notifier,
        terms: MessageTerms,
        *,
        stream: str,
        metrics: Metrics,
        clock: Callable[[], int],
        chance: Callable[[], float],
    ) -> None:
        self._database = database
        self._name = name
        self._notifier = notifier
        self._terms = terms
        self._stream = stream
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        # A counter that is born at its first event raises no rate: they are there from the start.
        for outcome in (*_OUTCOMES, _RETRY):
            metrics.notifications.labels(name, outcome)

    async def __call__(self, received: Received) -> float | None:
        """None where the notification is over; else after how many seconds it should be tried again."""
        key = self._key(received.body)
        found = None if key is None else await self._database.read(lambda uow: _load(key, uow))
        if key is None or found is None:
            self._metrics.forged.labels(self._stream).inc()
            log.warning("notification_unknown", notifier=self._name)
            return None
        notification, stored = found
        if notification.state is not NoticeState.PENDING:
            return None
        outcome = await self._notifier.send(alert_message(notification, stored, self._terms))
        match outcome:
            case Sent():
                await self._over(key, notification, NoticeState.SENT, None)
                return None
            case Refused():
                await self._over(key, notification, NoticeState.GIVEN_UP, outcome.reason)
                return None
            case TryAgain():
                return await self._again(key, notification, outcome)

    def _key(self, body: bytes) -> NotificationKey | None:
        """Which notification the message names; None where it is not one of this notifier."""
        try:
            said = AlertNotification.model_validate(orjson.loads(body)["payload"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValidationError):
            return None
        return NotificationKey(said.transition_id, said.notifier) if said.notifier == self._name else None

    async def _again(self, key: NotificationKey, notification: Notification, outcome: TryAgain) -> float | None:
        """Later, unless a day has passed."""
        age = timedelta(microseconds=self._clock() - notification.created_at)
        if age > GIVE_UP_AFTER:
            await self._over(key, notification, NoticeState.GIVEN_UP, outcome.reason)
            return None
        await self._record(key, NoticeState.PENDING, outcome.reason)
        self._metrics.notifications.labels(self._name, _RETRY).inc()
        waits_s = delay_s(notification.attempts, first_s=_FIRST_S, most_s=_MOST_S, chance=self._chance())
        if outcome.after_s is not None:
            waits_s = max(waits_s, min(outcome.after_s, _LONGEST_ASKED_S))
        log.warning("notification_waits", notifier=self._name, reason=outcome.reason, wait_s=round(waits_s, 2))
        return waits_s

    async def _over(
        self, key: NotificationKey, notification: Notification, state: NoticeState, failure: str | None
    ) -> None:
        await self._record(key, state, failure)
        self._metrics.notifications.labels(self._name, str(state)).inc()
        log.info(
            "notification_over",
            notifier=self._name,
            rule=notification.rule,
            action=str(notification.action),
            state=str(state),
            reason=failure,
            transition_id=key.transition_id,
        )

    async def _record(self, key: NotificationKey, state: NoticeState, failure: str | None) -> None:
        """As long as it takes: what was told and is not noted would be told again."""

        def write(uow: UnitOfWork) -> bool:
            return uow.alerts.record_attempt(key, state=state, failure=failure, now=self._clock())

        await committed(self._database, write, repeats=PATIENT)


def _load(key: NotificationKey, uow: UnitOfWork) -> tuple[Notification, StoredTransition] | None:
    notification, stored = uow.alerts.notification(key), uow.alerts.transition(key.transition_id)
    return None if notification is None or stored is None else (notification, stored)
