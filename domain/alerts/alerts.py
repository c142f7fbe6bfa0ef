"""When an alert is raised, held and cleared, what operators may do about it, and when notifiers are told.

A rule reads one number. A number that reaches a threshold raises the alert at once; the severity falls only after the
number has stayed below the threshold for ``resolve_after_s``, so that a signal that flaps is one alert. Notifiers are
told of what they do not know yet: a raise once in ``cooldown_s`` unless it is worse than the one they were told of, and
whatever was raised and is still so when the cooldown ends; nothing while suppressed; nothing but the end after an
acknowledgement.
"""

from dataclasses import dataclass, replace
from typing import Final

from contracts.values.alerts import AlertSignal, Lifecycle, NoticeAction, Severity
from domain.alerts.alert_states import QUIET, Standing, next_standing

_MICROS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What a rule compares its number with, and its times in seconds."""

    rule: str
    warning: float
    critical: float
    window_s: float
    cooldown_s: float
    resolve_after_s: float

    def severity_of(self, value: float | None) -> Severity:
        """What a reading says by itself; nothing was read: ok."""
        if value is None or value < self.warning:
            return Severity.OK
        return Severity.CRITICAL if value >= self.critical else Severity.WARNING


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands. Times are microseconds since the epoch; there is one of each rule.

    ``told_severity`` is what notifiers know; ``raised_severity`` and ``raised_at`` the last raise they were told of.
    """

    rule: str
    severity: Severity
    lifecycle: Lifecycle
    value: float | None
    since: int
    evaluated_at: int | None = None
    below_critical_since: int | None = None
    below_warning_since: int | None = None
    acknowledged_by: str | None = None
    acknowledged_at: int | None = None
    suppressed_until: int | None = None
    suppressed_by: str | None = None
    suppression_reason: str | None = None
    told_severity: Severity = Severity.OK
    raised_severity: Severity = Severity.OK
    raised_at: int | None = None
    version: int = 0

    @property
    def standing(self) -> Standing:
        return Standing(self.severity, self.lifecycle)


def quiet_alert(rule: str, now: int) -> Alert:
    """The alert of a rule that was never evaluated."""
    return Alert(rule, QUIET.severity, QUIET.lifecycle, None, now)


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of an alert; ``version`` numbers the steps of a rule."""

    rule: str
    version: int
    what: AlertSignal
    at: int
    before: Standing
    after: Standing
    value: float | None
    actor: str | None = None
    reason: str | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What notifiers are to be told, and what they knew before."""

    action: NoticeAction
    severity: Severity
    known: Severity


@dataclass(frozen=True, slots=True)
class AlertDecision:
    """The alert as it is from now on, the steps that led there, and what notifiers are told of the last one."""

    alert: Alert
    transitions: tuple[Transition, ...] = ()
    notice: Notice | None = None


def evaluate(rule: AlertRule, alert: Alert, value: float | None, now: int) -> AlertDecision:
    """What a reading makes of an alert."""
    steps: list[Transition] = []
    if alert.suppressed_until is not None and alert.suppressed_until <= now:
        alert = _step(alert, AlertSignal.SUPPRESSION_ENDED, now, steps)
    alert = _observe(rule, alert, value, now)
    signal = _signal(rule, alert, value, now)
    if signal is not None:
        alert = _step(alert, signal, now, steps)
    return _told(rule, alert, steps, now)


def suppress(rule: AlertRule, alert: Alert, *, actor: str, reason: str | None, until: int, now: int) -> AlertDecision:
    """Keep quiet until a moment; another suppression replaces the one in force."""
    steps: list[Transition] = []
    alert = _step(alert, AlertSignal.SUPPRESSED, now, steps, actor=actor, reason=reason, until=until)
    return _told(rule, alert, steps, now)


def resolve(rule: AlertRule, alert: Alert, *, actor: str, reason: str | None, now: int) -> AlertDecision:
    """End it, and its suppression, by hand. What is quiet stays so. A signal that is still there raises it anew."""
    if alert.standing == QUIET:
        return AlertDecision(alert)
    steps: list[Transition] = []
    alert = _step(alert, AlertSignal.RESOLVED, now, steps, actor=actor, reason=reason)
    return _told(rule, replace(alert, below_critical_since=now, below_warning_since=now), steps, now)


def acknowledge(alert: Alert, *, actor: str, reason: str | None, now: int) -> AlertDecision | None:
    """Somebody has taken it on: quiet until it clears. None where it is not active; again changes nothing."""
    if next_standing(alert.standing, AlertSignal.ACKNOWLEDGED) is None:
        return None
    if alert.acknowledged_by is not None:
        return AlertDecision(alert)
    steps: list[Transition] = []
    alert = _step(alert, AlertSignal.ACKNOWLEDGED, now, steps, actor=actor, reason=reason)
    alert = replace(alert, acknowledged_by=actor, acknowledged_at=now)
    if alert.told_severity is Severity.OK:
        return AlertDecision(alert, tuple(steps))
    return AlertDecision(alert, tuple(steps), Notice(NoticeAction.ACKNOWLEDGE, alert.severity, alert.told_severity))


def change_rule(alert: Alert, *, actor: str, reason: str, now: int) -> AlertDecision:
    """The rule has other thresholds from now on: a step of its history that moves nothing."""
    steps: list[Transition] = []
    alert = _step(alert, AlertSignal.RULE_CHANGED, now, steps, actor=actor, reason=reason)
    return AlertDecision(alert, tuple(steps))


def _observe(rule: AlertRule, alert: Alert, value: float | None, now: int) -> Alert:
    read = rule.severity_of(value)
    below_critical = None if read is Severity.CRITICAL else alert.below_critical_since or now
    below_warning = None if read is not Severity.OK else alert.below_warning_since or now
    return replace(
        alert,
        value=value,
        evaluated_at=now,
        below_critical_since=below_critical,
        below_warning_since=below_warning,
    )


def _signal(rule: AlertRule, alert: Alert, value: float | None, now: int) -> AlertSignal | None:
    """Up at once, down only after the whole quiet time."""
    read = rule.severity_of(value)
    if read.rank > alert.severity.rank:
        return AlertSignal.CRITICAL_RAISED if read is Severity.CRITICAL else AlertSignal.WARNING_RAISED
    quiet = round(rule.resolve_after_s * _MICROS)

    def held_since(since: int | None) -> bool:
        return since is not None and now - since >= quiet

    if alert.severity is not Severity.OK and held_since(alert.below_warning_since):
        return AlertSignal.CLEARED
    if alert.severity is Severity.CRITICAL and held_since(alert.below_critical_since):
        return AlertSignal.EASED
    return None


def _step(
    alert: Alert,
    signal: AlertSignal,
    now: int,
    steps: list[Transition],
    *,
    actor: str | None = None,
    reason: str | None = None,
    until: int | None = None,
) -> Alert:
    """The alert after the signal, the step noted. Raises ``ValueError`` for one that the table lacks."""
    before = alert.standing
    after = next_standing(before, signal)
    if after is None:
        raise ValueError(f"{signal} is not allowed for an alert that is {before.severity} and {before.lifecycle}")
    moved = replace(
        alert,
        severity=after.severity,
        lifecycle=after.lifecycle,
        since=alert.since if after == before else now,
        version=alert.version + 1,
    )
    if signal is AlertSignal.SUPPRESSED:
        moved = replace(moved, suppressed_until=until, suppressed_by=actor, suppression_reason=reason)
    elif after.lifecycle is not Lifecycle.SUPPRESSED:
        moved = replace(moved, suppressed_until=None, suppressed_by=None, suppression_reason=None)
    if after.severity is Severity.OK:
        moved = replace(moved, acknowledged_by=None, acknowledged_at=None)
    steps.append(Transition(alert.rule, moved.version, signal, now, before, after, alert.value, actor, reason, until))
    return moved


def _told(rule: AlertRule, alert: Alert, steps: list[Transition], now: int) -> AlertDecision:
    """The decision with what notifiers are told now, if anything."""
    known, is_now = alert.told_severity, alert.severity
    if alert.lifecycle is Lifecycle.SUPPRESSED or known is is_now:
        return AlertDecision(alert, tuple(steps))
    if is_now is Severity.OK:
        notice = Notice(NoticeAction.RESOLVE, is_now, known)
        return AlertDecision(replace(alert, told_severity=is_now), tuple(steps), notice)
    if alert.acknowledged_by is not None or (is_now.rank > known.rank and _is_repeat(rule, alert, now)):
        return AlertDecision(alert, tuple(steps))
    told = replace(alert, told_severity=is_now)
    if is_now.rank > known.rank:
        told = replace(told, raised_severity=is_now, raised_at=now)
    return AlertDecision(told, tuple(steps), Notice(NoticeAction.TRIGGER, is_now, known))


def _is_repeat(rule: AlertRule, alert: Alert, now: int) -> bool:
    """Whether as bad a raise was told within the cooldown."""
    if alert.raised_at is None or alert.severity.rank > alert.raised_severity.rank:
        return False
    return now - alert.raised_at < round(rule.cooldown_s * _MICROS)
