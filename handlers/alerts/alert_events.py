"""The messages that tell of an alert's step: the event for all who listen, and one for each notifier."""

from contracts import outgoing, subjects
from contracts.errors import JsonObject, JsonValue
from contracts.values.times import format_micros
from domain.alerts.alert_states import Standing
from handlers.effects import Context
from storage.alerts.alerts import Notification, StoredTransition
from storage.journal.outbox import OutboxMessage

NOTIFICATION_KIND = "alert.notification"


def transition_view(stored: StoredTransition) -> JsonObject:
    """A step as events and answers tell it."""
    step = stored.step
    view: JsonObject = {
        "transition_id": stored.transition_id,
        "version": step.version,
        "at": format_micros(step.at),
        "what": str(step.what),
        **_standing(step.after),
        "from": _standing(step.before),
        "value": step.value,
        "facts": stored.facts,
    }
    optional: dict[str, JsonValue] = {
        "actor": step.actor,
        "reason": step.reason,
        "until": None if step.until is None else format_micros(step.until),
    }
    return view | {name: value for name, value in optional.items() if value is not None}


def alert_event(stored: StoredTransition, context: Context, *, trace_id: str | None = None) -> OutboxMessage:
    """``event.alert.<rule>.<severity>``: the step, with the severity that holds after it."""
    step = stored.step
    subject = subjects.event("alert", step.rule, step.after.severity)
    body = outgoing.envelope(
        outgoing.event_kind("alert", step.after.severity),
        {"rule": step.rule, **transition_view(stored)},
        message_id=stored.transition_id,
        trace_id=outgoing.trace_or(trace_id, stored.transition_id),
        now=context.now,
    )
    return OutboxMessage(
        message_id=stored.transition_id,
        lane=context.subjects.lane(subject),
        aggregate=f"alert.{step.rule}",
        subject=context.subjects.full(subject),
        body=body,
    )


def notification_message(notification: Notification, context: Context) -> OutboxMessage:
    """``notify.<notifier>``: that there is something to tell; what it is stands in the database."""
    subject = subjects.notify(notification.notifier)
    message_id = f"{notification.transition_id}.{notification.notifier}"
    body = outgoing.envelope(
        NOTIFICATION_KIND,
        {
            "transition_id": notification.transition_id,
            "notifier": notification.notifier,
            "rule": notification.rule,
            "action": str(notification.action),
            "severity": str(notification.severity),
        },
        message_id=message_id,
        trace_id=notification.transition_id,
        now=context.now,
    )
    return OutboxMessage(
        message_id=message_id,
        lane=context.subjects.lane(subject),
        aggregate=f"notifier.{notification.notifier}",
        subject=context.subjects.full(subject),
        body=body,
    )


def _standing(standing: Standing) -> JsonObject:
    return {"severity": str(standing.severity), "lifecycle": str(standing.lifecycle)}
