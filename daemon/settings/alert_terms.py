"""What the settings say of alerts, as the values that rules are decided on."""

from contracts.values.alerts import Severity
from daemon.settings.model import Settings
from domain.alerts.alerts import AlertRule
from domain.alerts.notices import NotifierTerms


def alert_rules(settings: Settings) -> list[AlertRule]:
    """The rules by name."""
    return [
        AlertRule(name, rule.warning, rule.critical, rule.window_s, rule.cooldown_s, rule.resolve_after_s)
        for name, rule in settings.alerts.rules.by_name().items()
    ]


def notifier_terms(settings: Settings) -> list[NotifierTerms]:
    """Who is told, and from which severity on."""
    return [
        NotifierTerms(name, Severity(notifier.min_severity)) for name, notifier in sorted(settings.notifiers.items())
    ]
