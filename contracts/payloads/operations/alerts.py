"""Alerts: what operators ask and do about them, and what is told of their steps."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from contracts.errors import JsonObject
from contracts.payloads.base import BrokenRule, Payload, RuledPayload
from contracts.payloads.callbacks import Ordinal
from contracts.payloads.commands.jobs import Page
from contracts.payloads.operations.failures import Instant
from contracts.values.alerts import AlertSignal, Lifecycle, NoticeAction, NoticeState, Severity
from contracts.values.types import Count, Name, Text, Timestamp


class AlertList(Page):
    """alert.list 1.0: all alerts without their history, what moved last first."""


class AlertGet(Payload):
    """alert.get 1.0: one alert with its newest history."""

    rule: Name


class AlertAction(StrEnum):
    LIST = "list"
    SUPPRESS = "suppress"
    RESOLVE = "resolve"
    ACKNOWLEDGE = "acknowledge"
    TEST = "test"


class Alerts(RuledPayload):
    """alerts 1.0: look at alerts, keep one quiet until a moment, end one, take one on, or try a notifier."""

    action: AlertAction
    rule: Name | None = None
    until: Instant | None = None
    reason: Annotated[Text, Field(min_length=1)] | None = None
    notifier: Name | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        needed = _NEEDED.get(str(raw.get("action")), ())
        return tuple(BrokenRule((name,), "missing", "Field required") for name in needed if raw.get(name) is None)


_NEEDED: Final = {
    "suppress": ("rule", "until", "reason"),
    "resolve": ("rule",),
    "acknowledge": ("rule",),
    "test": ("notifier",),
}


class AlertStanding(Payload):
    """How bad it was, and where in its life."""

    severity: Severity
    lifecycle: Lifecycle


class AlertStep(AlertStanding):
    """A step of an alert's life. ``version`` numbers the steps of a rule; ``facts`` is what the reading was made of."""

    transition_id: str
    version: Ordinal
    at: Timestamp
    what: AlertSignal
    before: AlertStanding = Field(alias="from")
    value: float | None
    facts: dict[str, object]
    actor: str | None = None
    reason: str | None = None
    until: Timestamp | None = None


class AlertEvent(AlertStep):
    """alert.ok, alert.warning, alert.critical 1.0: a step, under the severity that holds after it."""

    rule: Name


class AlertNotification(Payload):
    """alert.notification 1.0: that a notifier is to be told of a step; the database has what."""

    transition_id: str
    notifier: Name
    rule: Name
    action: NoticeAction
    severity: Severity


class NotificationView(Payload):
    """What a notifier was told of a step, and what became of that."""

    notifier: Name
    action: NoticeAction
    severity: Severity
    state: NoticeState
    attempts: Count
    failure: str | None
    created_at: Timestamp
    updated_at: Timestamp


class AlertStepView(AlertStep):
    """A step with what notifiers were told of it."""

    notifications: list[NotificationView]


class AlertRuleView(Payload):
    """What a rule compares its number with, and its times."""

    warning: float
    critical: float
    window_s: float
    cooldown_s: float
    resolve_after_s: float


class AlertItem(AlertStanding):
    """An alert as it stands."""

    rule: Name
    value: float | None
    since: Timestamp
    evaluated_at: Timestamp | None
    acknowledged_by: str | None
    acknowledged_at: Timestamp | None
    suppressed_until: Timestamp | None
    suppressed_by: str | None
    suppression_reason: str | None
    thresholds: AlertRuleView | None


class AlertView(AlertItem):
    """What alert.get answers."""

    history: list[AlertStepView]


class AlertPage(Payload):
    """What alert.list answers."""

    items: list[AlertItem]
    next_cursor: str | None


class AlertsResult(Payload):
    """What alerts answers: all alerts (list), the alert as it is from now on, or how a test message went."""

    run_id: str | None = None
    items: list[AlertItem] | None = None
    alert: AlertItem | None = None
    notifier: Name | None = None
    outcome: str | None = None
    detail: str | None = None
