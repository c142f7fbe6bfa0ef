"""Everything that follows from decisions on alerts, in one transaction: state, history, events, notifications."""

from collections.abc import Sequence

from contracts.errors import JsonObject
from contracts.values.alerts import NoticeState
from domain.alerts.alerts import Alert, AlertDecision, Notice
from domain.alerts.notices import NotifierTerms, action_for
from handlers.alerts.alert_events import alert_event, notification_message
from handlers.effects import Context
from storage.alerts.alerts import Notification, StoredTransition
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork


class AlertRecorder:
    """Collects the decisions of one transaction and writes all of them at its end."""

    def __init__(self, uow: UnitOfWork, context: Context, notifiers: Sequence[NotifierTerms]) -> None:
        self._uow = uow
        self._context = context
        self._notifiers = notifiers
        self._alerts: dict[str, Alert] = {}
        self._notices: dict[str, Notice] = {}
        self._traces: dict[str, str] = {}
        self.transitions: list[StoredTransition] = []
        self.messages: list[OutboxMessage] = []

    def take(self, decision: AlertDecision, facts: JsonObject, *, trace_id: str | None = None) -> None:
        """Take a decision over; there is at most one with a notice for a rule."""
        rule = decision.alert.rule
        self._alerts[rule] = decision.alert
        for step in decision.transitions:
            transition_id = self._context.new_id()
            self.transitions.append(StoredTransition(transition_id, step, facts))
            if trace_id is not None:
                self._traces[transition_id] = trace_id
        if decision.notice is not None:
            self._notices[rule] = decision.notice

    @property
    def lanes(self) -> frozenset[str]:
        """The lanes in which messages were put."""
        return frozenset(message.lane for message in self.messages)

    def write(self) -> None:
        """Write what was decided, and put the messages that tell of it in line."""
        uow, context = self._uow, self._context
        uow.alerts.store(list(self._alerts.values()))
        uow.alerts.add_transitions(self.transitions)
        for stored in self.transitions:
            step = stored.step
            uow.note(
                "alert_transition",
                rule=step.rule,
                what=str(step.what),
                severity=str(step.after.severity),
                lifecycle=str(step.after.lifecycle),
                value=step.value,
                transition_id=stored.transition_id,
                by=step.actor,
                trace_id=self._traces.get(stored.transition_id),
            )
        notifications = self._notifications()
        uow.alerts.add_notifications(notifications)
        self.messages = [
            *(
                alert_event(stored, context, trace_id=self._traces.get(stored.transition_id))
                for stored in self.transitions
            ),
            *(notification_message(notification, context) for notification in notifications),
        ]
        uow.outbox.add(self.messages, owner=context.daemon_id, now=context.now)

    def _notifications(self) -> list[Notification]:
        """What each notifier is told. A repeat that waited for its cooldown is told of the step that raised it."""
        last = {stored.step.rule: stored.transition_id for stored in self.transitions}
        notifications = []
        for rule, notice in self._notices.items():
            transition_id = last.get(rule) or self._last_stored(rule)
            for notifier in self._notifiers if transition_id else ():
                action = action_for(notifier, notice)
                if action is not None:
                    now = self._context.now
                    notifications.append(
                        Notification(
                            str(transition_id),
                            notifier.name,
                            rule,
                            action,
                            notice.severity,
                            NoticeState.PENDING,
                            0,
                            None,
                            now,
                            now,
                        )
                    )
        return notifications

    def _last_stored(self, rule: str) -> str | None:
        stored = self._uow.alerts.last_transition(rule)
        return None if stored is None else stored.transition_id
