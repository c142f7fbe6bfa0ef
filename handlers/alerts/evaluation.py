"""Alert rules: taken over from the settings, and judged on what was read."""

from collections.abc import Mapping, Sequence
from typing import Final

from contracts.errors import JsonObject
from contracts.values.principals import SYSTEM
from domain.alerts.alerts import AlertRule, change_rule, evaluate, quiet_alert
from domain.alerts.notices import NotifierTerms
from handlers.alerts.readings import Reading
from handlers.alerts.recorder import AlertRecorder
from handlers.effects import Context
from storage.unit_of_work import UnitOfWork

_BY_SETTINGS: Final = "the settings differ from what was stored"


def apply_rules(
    rules: Sequence[AlertRule], uow: UnitOfWork, context: Context, notifiers: Sequence[NotifierTerms]
) -> AlertRecorder:
    """Keep the rules of the settings: new ones with an alert that is quiet, changed ones with a step of history."""
    uow.alerts.add([quiet_alert(rule.rule, context.now) for rule in rules])
    # The alerts are locked first: of two daemons that start at once, the second finds nothing changed.
    alerts, stored = uow.alerts.lock(), uow.alerts.rules()
    recorder = AlertRecorder(uow, context, notifiers)
    changed = [rule for rule in rules if stored.get(rule.rule) != rule]
    for rule in changed:
        before = stored.get(rule.rule)
        if before is not None:
            decision = change_rule(alerts[rule.rule], actor=SYSTEM, reason=_BY_SETTINGS, now=context.now)
            recorder.take(decision, {"before": rule_view(before), "after": rule_view(rule)})
    uow.alerts.put_rules(changed, now=context.now)
    recorder.write()
    return recorder


def judge(
    readings: Mapping[str, Reading], uow: UnitOfWork, context: Context, notifiers: Sequence[NotifierTerms]
) -> AlertRecorder:
    """Decide on every alert whose rule was read. What was not read stays as it is."""
    alerts, rules = uow.alerts.lock(), uow.alerts.rules()
    recorder = AlertRecorder(uow, context, notifiers)
    for rule, reading in readings.items():
        if rule in alerts and rule in rules:
            recorder.take(evaluate(rules[rule], alerts[rule], reading.value, context.now), reading.facts)
    recorder.write()
    return recorder


def rule_view(rule: AlertRule) -> JsonObject:
    return {
        "warning": rule.warning,
        "critical": rule.critical,
        "window_s": rule.window_s,
        "cooldown_s": rule.cooldown_s,
        "resolve_after_s": rule.resolve_after_s,
    }
