"""Readings and operators in any order, beside a plain model of what is promised."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from contracts.values.alerts import AlertSignal, Lifecycle, NoticeAction, Severity
from domain.alerts.alert_states import TRANSITIONS
from domain.alerts.alerts import (
    AlertDecision,
    AlertRule,
    acknowledge,
    change_rule,
    evaluate,
    quiet_alert,
    resolve,
    suppress,
)

SECOND = 1_000_000
RULE = AlertRule("r", 10.0, 20.0, window_s=60, cooldown_s=120, resolve_after_s=60)
STEPS = st.sampled_from([1, 5, 15, 45, 60, 120])


class AlertsMachine(RuleBasedStateMachine):
    """One alert, all its readings, and what notifiers heard."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.alert = quiet_alert("r", 0)
        self.readings: list[tuple[int, float | None]] = []
        self.known = Severity.OK
        self.raises: list[tuple[int, Severity]] = []
        self.is_acknowledged = False
        self.resolved_at = 0

    def take(self, decision: AlertDecision) -> None:
        """Check a decision against the promises, then go on from it."""
        before = self.alert
        standing, version = before.standing, before.version
        for step in decision.transitions:
            assert step.before == standing
            assert TRANSITIONS[step.before, step.what] == step.after
            assert step.version == version + 1
            assert step.at == self.now
            standing, version = step.after, step.version
        self.alert = decision.alert
        assert (self.alert.standing, self.alert.version) == (standing, version)
        self.heard(decision)
        if self.alert.severity is Severity.OK:
            self.is_acknowledged = False

    def heard(self, decision: AlertDecision) -> None:
        notice = decision.notice
        if notice is None:
            return
        assert self.alert.lifecycle is not Lifecycle.SUPPRESSED, "nobody is told while suppressed"
        assert notice.known is self.known
        if notice.action is NoticeAction.ACKNOWLEDGE:
            assert self.known is not Severity.OK
            return
        assert notice.severity is not self.known, "notifiers are told what they do not know"
        assert notice.severity is self.alert.severity
        assert (notice.action is NoticeAction.RESOLVE) is (notice.severity is Severity.OK)
        if notice.action is NoticeAction.TRIGGER:
            assert not self.is_acknowledged, "acknowledged is quiet until it clears"
        if notice.severity.rank > self.known.rank:
            if self.raises:
                last_at, last = self.raises[-1]
                repeats = notice.severity.rank <= last.rank
                assert not (repeats and self.now - last_at < 120 * SECOND), "a repeat within the cooldown"
            self.raises.append((self.now, notice.severity))
        self.known = notice.severity

    @rule(seconds=STEPS, value=st.sampled_from([None, 0.0, 9.9, 10.0, 19.9, 20.0, 50.0]))
    def read(self, seconds: int, value: float | None) -> None:
        self.now += seconds * SECOND
        self.readings.append((self.now, value))
        fell_from = self.alert.severity
        decision = evaluate(RULE, self.alert, value, self.now)
        self.take(decision)
        for step in decision.transitions:
            if step.what in (AlertSignal.CLEARED, AlertSignal.EASED):
                self.was_quiet(below=fell_from if step.what is AlertSignal.CLEARED else Severity.CRITICAL)
        assert self.alert.severity.rank >= RULE.severity_of(value).rank, "what is read is raised at once"
        due = self.alert.suppressed_until
        assert due is None or due > self.now, "a suppression ends at its end"
        self.is_told_in_the_end()

    def was_quiet(self, below: Severity) -> None:
        """Every reading of the quiet time lay below the severity that the alert fell from."""
        since = self.now - 60 * SECOND
        recent = [value for at, value in self.readings if at >= since]
        limit = RULE.critical if below is Severity.CRITICAL else RULE.warning
        if self.alert.severity is Severity.OK:
            limit = RULE.warning
        assert all(value is None or value < limit for value in recent)
        assert self.readings[0][0] <= since

    def is_told_in_the_end(self) -> None:
        """What is so is known, unless somebody asked for quiet or a repeat waits for the cooldown."""
        alert = self.alert
        if alert.lifecycle is Lifecycle.SUPPRESSED or self.is_acknowledged or alert.severity is self.known:
            return
        assert self.raises
        last_at, last = self.raises[-1]
        assert alert.severity.rank > self.known.rank
        assert alert.severity.rank <= last.rank
        assert self.now - last_at < 120 * SECOND

    @rule(seconds=STEPS)
    def suppress(self, seconds: int) -> None:
        until = self.now + seconds * SECOND
        self.take(suppress(RULE, self.alert, actor="ana", reason="r", until=until, now=self.now))
        assert (self.alert.suppressed_by, self.alert.suppressed_until) == ("ana", until)

    @rule()
    def resolve(self) -> None:
        self.take(resolve(RULE, self.alert, actor="ana", reason=None, now=self.now))
        assert self.alert.lifecycle is Lifecycle.RESOLVED
        assert self.alert.suppressed_until is None

    @rule()
    def acknowledge(self) -> None:
        decision = acknowledge(self.alert, actor="ana", reason=None, now=self.now)
        assert (decision is None) is (self.alert.lifecycle is not Lifecycle.ACTIVE)
        if decision is not None:
            self.take(decision)
            self.is_acknowledged = True

    @precondition(lambda self: len(self.readings) % 5 == 4)
    @rule()
    def change_the_rule(self) -> None:
        before = self.alert.standing
        self.take(change_rule(self.alert, actor="system", reason="settings", now=self.now))
        assert self.alert.standing == before


AlertsMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestAlerts = AlertsMachine.TestCase
