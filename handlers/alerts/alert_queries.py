"""Questions about alerts."""

from collections.abc import Sequence
from typing import Final

from contracts.errors import JsonObject, JsonValue
from contracts.payloads.operations import alerts as asked
from contracts.values.times import format_micros
from domain.alerts.alerts import Alert, AlertRule
from handlers.alerts.alert_events import transition_view
from handlers.alerts.evaluation import rule_view
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor
from handlers.effects import Context
from storage.alerts.alerts import Notification, StoredTransition
from storage.unit_of_work import UnitOfWork

_NEWEST: Final = 100


def list_alerts(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``alert.list``: what moved last comes first."""
    wanted = payload_of(command, asked.AlertList)
    rules = uow.alerts.rules()
    mark = read_cursor("alerts", wanted.cursor, int, str)
    ordered = sorted(uow.alerts.all(), key=lambda alert: (alert.since, alert.rule), reverse=True)
    rows = [alert for alert in ordered if mark is None or (alert.since, alert.rule) < mark]

    def view(alert: Alert) -> JsonObject:
        return alert_view(alert, rules.get(alert.rule))

    def place(alert: Alert) -> str:
        return cursor("alerts", alert.since, alert.rule)

    return ok(page(rows[: wanted.limit + 1], wanted.limit, view, place, context))


def get_alert(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``alert.get``: an alert with its newest history, as much as a reply holds."""
    rule = payload_of(command, asked.AlertGet).rule
    alert = uow.alerts.get(rule)
    if alert is None:
        return refuse(NOT_FOUND)
    steps = uow.alerts.history(rule, limit=_NEWEST)
    told = uow.alerts.notifications_of([stored.transition_id for stored in steps])

    def view(stored: StoredTransition) -> JsonObject:
        return step_view(stored, told.get(stored.transition_id, ()))

    history = page(steps, _NEWEST, view, lambda stored: stored.transition_id, context)["items"]
    return ok(alert_view(alert, uow.alerts.rules().get(rule)) | {"history": history})


def alert_view(alert: Alert, rule: AlertRule | None) -> JsonObject:
    """An alert as it stands, without its history."""
    return {
        "rule": alert.rule,
        "severity": str(alert.severity),
        "lifecycle": str(alert.lifecycle),
        "value": alert.value,
        "since": format_micros(alert.since),
        "evaluated_at": _moment(alert.evaluated_at),
        "acknowledged_by": alert.acknowledged_by,
        "acknowledged_at": _moment(alert.acknowledged_at),
        "suppressed_until": _moment(alert.suppressed_until),
        "suppressed_by": alert.suppressed_by,
        "suppression_reason": alert.suppression_reason,
        "thresholds": None if rule is None else rule_view(rule),
    }


def step_view(stored: StoredTransition, told: Sequence[Notification]) -> JsonObject:
    """A step with what notifiers were told of it."""
    notifications: list[JsonValue] = [_notification_view(notification) for notification in told]
    return transition_view(stored) | {"notifications": notifications}


def _notification_view(notification: Notification) -> JsonObject:
    return {
        "notifier": notification.notifier,
        "action": str(notification.action),
        "severity": str(notification.severity),
        "state": str(notification.state),
        "attempts": notification.attempts,
        "failure": notification.failure,
        "created_at": format_micros(notification.created_at),
        "updated_at": format_micros(notification.updated_at),
    }


def _moment(at: int | None) -> str | None:
    return None if at is None else format_micros(at)
