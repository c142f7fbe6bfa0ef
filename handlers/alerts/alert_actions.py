"""What operators do about an alert, in one transaction."""

from collections.abc import Sequence
from typing import Final

from contracts.errors import ErrorCode, Problem, invalid_field, problem
from contracts.payloads.operations.alerts import AlertAction, Alerts
from domain.alerts.alerts import Alert, AlertDecision, AlertRule, acknowledge, resolve, suppress
from domain.alerts.notices import NotifierTerms
from handlers.alerts.alert_queries import alert_view
from handlers.alerts.recorder import AlertRecorder
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.effects import Context
from storage.unit_of_work import UnitOfWork


def act_on_alert(
    command: Command, uow: UnitOfWork, context: Context, notifiers: Sequence[NotifierTerms]
) -> tuple[Reply, AlertRecorder]:
    """Suppress, resolve or acknowledge; answers the alert as it is from now on."""
    recorder = AlertRecorder(uow, context, notifiers)
    wanted = payload_of(command, Alerts)
    alert, rule = uow.alerts.lock().get(wanted.rule or ""), uow.alerts.rules().get(wanted.rule or "")
    if alert is None or rule is None:
        return refuse(NOT_FOUND), recorder
    decision = _decide(wanted, rule, alert, command.principal.owner, context.now)
    if not isinstance(decision, AlertDecision):
        return refuse(decision), recorder
    recorder.take(decision, {}, trace_id=command.trace_id)
    recorder.write()
    return ok({"alert": alert_view(decision.alert, rule)}), recorder


def _decide(wanted: Alerts, rule: AlertRule, alert: Alert, actor: str, now: int) -> AlertDecision | Problem:
    if wanted.action is AlertAction.SUPPRESS:
        until = wanted.until or 0
        if until <= now:
            return _PAST
        return suppress(rule, alert, actor=actor, reason=wanted.reason, until=until, now=now)
    if wanted.action is AlertAction.RESOLVE:
        return resolve(rule, alert, actor=actor, reason=wanted.reason, now=now)
    return acknowledge(alert, actor=actor, reason=wanted.reason, now=now) or _NOT_ACTIVE


_PAST: Final = invalid_field("payload.until", "in_the_past", "Until should be in the future")
_NOT_ACTIVE: Final = problem(ErrorCode.INVALID_STATE, "only an active alert can be acknowledged")
