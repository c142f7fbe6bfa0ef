"""Telling whoever listens that something needs a look: ``event.alert.<rule>.<severity>``."""

from collections.abc import Mapping
from enum import StrEnum

from contracts import outgoing, subjects
from contracts.errors import JsonValue
from contracts.values.times import format_micros
from handlers.effects import Context
from storage.journal.outbox import OutboxMessage


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


def alert_event(
    rule: str, severity: Severity, facts: Mapping[str, JsonValue], context: Context, *, trace_id: str | None = None
) -> OutboxMessage:
    """The message of one alert; ``facts`` stand beside rule, severity and time."""
    message_id = context.new_id()
    subject = subjects.event("alert", rule, severity)
    body = outgoing.envelope(
        outgoing.event_kind("alert", severity),
        {"rule": rule, "severity": severity, "at": format_micros(context.now), **facts},
        message_id=message_id,
        trace_id=outgoing.trace_or(trace_id, message_id),
        now=context.now,
    )
    return OutboxMessage(
        message_id=message_id,
        lane=context.subjects.lane(subject),
        aggregate=f"alert.{rule}",
        subject=context.subjects.full(subject),
        body=body,
    )
