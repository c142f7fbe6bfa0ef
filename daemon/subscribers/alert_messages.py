"""A step of an alert in words, for people who read it on a telephone."""

from dataclasses import dataclass
from typing import Final

from adapters.notifiers.base import AlertMessage
from contracts.errors import JsonObject
from contracts.values.alerts import AlertSignal, NoticeAction, Severity
from contracts.values.times import format_micros
from handlers.alerts.alert_events import transition_view
from storage.alerts.alerts import Notification, StoredTransition


@dataclass(frozen=True, slots=True)
class MessageTerms:
    """Which installation speaks, and where its console is; an empty address: none."""

    prefix: str
    console_url: str


TEST_RULE: Final = "test"


def alert_message(notification: Notification, stored: StoredTransition, terms: MessageTerms) -> AlertMessage:
    """What a notifier is told of a step."""
    return AlertMessage(
        message_id=stored.transition_id,
        incident=_incident(notification.rule, terms),
        rule=notification.rule,
        action=notification.action,
        severity=notification.severity,
        summary=_summary(notification, stored),
        at=format_micros(stored.step.at),
        details=transition_view(stored),
        link=_link(notification.rule, terms),
    )


def check_message(message_id: str, actor: str, now: int, terms: MessageTerms) -> AlertMessage:
    """A message that only shows that it arrives."""
    return AlertMessage(
        message_id=message_id,
        incident=_incident(TEST_RULE, terms),
        rule=TEST_RULE,
        action=NoticeAction.TRIGGER,
        severity=Severity.WARNING,
        summary=f"TEST: {actor} tries this notifier; nothing is wrong",
        at=format_micros(now),
        details=_no_details(),
        link=terms.console_url,
    )


def _no_details() -> JsonObject:
    return {"test": True}


def _summary(notification: Notification, stored: StoredTransition) -> str:
    step, rule = stored.step, notification.rule
    value = "" if step.value is None else f" is {step.value:,.6g}"
    if notification.action is NoticeAction.ACKNOWLEDGE:
        said = f": {step.reason}" if step.reason else ""
        return f"{rule}{value}: {step.actor} has taken it on{said}"
    if notification.action is NoticeAction.RESOLVE:
        by = f" by {step.actor}" if step.what is AlertSignal.RESOLVED else ""
        return f"OVER: {rule}{value}, resolved{by}"
    return f"{str(notification.severity).upper()}: {rule}{value}"


def _incident(rule: str, terms: MessageTerms) -> str:
    return f"{terms.prefix}.alert.{rule}"


def _link(rule: str, terms: MessageTerms) -> str:
    return f"{terms.console_url.rstrip('/')}/#/alert/{rule}" if terms.console_url else ""
