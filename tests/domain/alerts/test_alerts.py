"""When an alert is raised, held, cleared and told, step by step."""

from contracts.values.alerts import AlertSignal, Lifecycle, NoticeAction, Severity
from domain.alerts.alerts import (
    Alert,
    AlertDecision,
    AlertRule,
    acknowledge,
    evaluate,
    quiet_alert,
    resolve,
    suppress,
)

SECOND = 1_000_000
RULE = AlertRule("cost_usd_per_day", 100.0, 200.0, window_s=86_400, cooldown_s=900, resolve_after_s=300)


def after(alert: Alert, *readings: tuple[float, float | None]) -> list[AlertDecision]:
    """Decisions on readings ``(seconds, value)``, one on what the other left."""
    decisions = []
    for at, value in readings:
        decisions.append(evaluate(RULE, alert, value, int(at * SECOND)))
        alert = decisions[-1].alert
    return decisions


def signals(decisions: list[AlertDecision]) -> list[AlertSignal]:
    return [step.what for decision in decisions for step in decision.transitions]


def notices(decisions: list[AlertDecision]) -> list[tuple[NoticeAction, Severity]]:
    return [(told.notice.action, told.notice.severity) for told in decisions if told.notice is not None]


def test_what_reaches_a_threshold_is_raised_and_told_at_once() -> None:
    raised = after(quiet_alert("r", 0), (0, 99.99), (15, 100.0), (30, 100.0), (45, 200.0))
    assert signals(raised) == [AlertSignal.WARNING_RAISED, AlertSignal.CRITICAL_RAISED]
    assert notices(raised) == [(NoticeAction.TRIGGER, Severity.WARNING), (NoticeAction.TRIGGER, Severity.CRITICAL)]


def test_a_signal_that_flaps_is_one_alert_until_it_was_quiet_long_enough() -> None:
    flapping = after(quiet_alert("r", 0), *((15 * n, 150.0 if n % 2 == 0 else 0.0) for n in range(40)))
    assert signals(flapping) == [AlertSignal.WARNING_RAISED]
    ended = after(flapping[-1].alert, (884, 0.0), (885, 0.0))  # quiet since 585
    assert signals(ended) == [AlertSignal.CLEARED]
    assert notices(ended) == [(NoticeAction.RESOLVE, Severity.OK)]


def test_a_severity_falls_to_what_was_not_undercut_for_the_quiet_time() -> None:
    eased = after(quiet_alert("r", 0), (0, 250.0), (15, 150.0), (200, 50.0), (314, 50.0), (315, 50.0), (500, 50.0))
    assert signals(eased) == [AlertSignal.CRITICAL_RAISED, AlertSignal.EASED, AlertSignal.CLEARED]
    assert eased[-2].alert.severity is Severity.WARNING


def test_no_reading_counts_as_quiet() -> None:
    silent = after(quiet_alert("r", 0), (0, 150.0), (15, None), (315, None))
    assert signals(silent) == [AlertSignal.WARNING_RAISED, AlertSignal.CLEARED]


def test_a_repeat_within_the_cooldown_is_told_when_it_ends_and_only_if_it_is_still_there() -> None:
    first = after(quiet_alert("r", 0), (0, 150.0), (15, 0.0), (315, 0.0))
    again = after(first[-1].alert, (400, 150.0), (899, 150.0), (900, 150.0), (915, 150.0))
    assert signals(again) == [AlertSignal.WARNING_RAISED]
    assert [decision.notice is not None for decision in again] == [False, False, True, False]
    gone = after(first[-1].alert, (400, 150.0), (415, 0.0), (715, 0.0), (900, 0.0))
    assert signals(gone) == [AlertSignal.WARNING_RAISED, AlertSignal.CLEARED]
    assert notices(gone) == []


def test_what_is_worse_than_was_told_waits_for_no_cooldown() -> None:
    first = after(quiet_alert("r", 0), (0, 150.0), (15, 0.0), (315, 0.0))
    assert notices(after(first[-1].alert, (400, 250.0))) == [(NoticeAction.TRIGGER, Severity.CRITICAL)]


def test_while_suppressed_nobody_is_told_and_the_end_tells_what_is_so_then() -> None:
    quiet = suppress(RULE, quiet_alert("r", 0), actor="ana", reason="a load test", until=600 * SECOND, now=0)
    during = after(quiet.alert, (15, 250.0), (599, 250.0))
    assert signals(during) == [AlertSignal.CRITICAL_RAISED]
    assert notices(during) == []
    end = after(during[-1].alert, (600, 250.0))
    assert signals(end) == [AlertSignal.SUPPRESSION_ENDED]
    assert notices(end) == [(NoticeAction.TRIGGER, Severity.CRITICAL)]
    assert end[0].alert.suppressed_by is None


def test_what_cleared_while_suppressed_is_told_at_the_end_where_it_had_been_told() -> None:
    raised = after(quiet_alert("r", 0), (0, 150.0))[-1].alert
    quiet = suppress(RULE, raised, actor="ana", reason=None, until=600 * SECOND, now=10 * SECOND).alert
    end = after(quiet, (15, 0.0), (315, 0.0), (600, 0.0))
    assert signals(end) == [AlertSignal.CLEARED, AlertSignal.SUPPRESSION_ENDED]
    assert notices(end) == [(NoticeAction.RESOLVE, Severity.OK)]


def test_an_acknowledged_alert_is_quiet_until_it_clears() -> None:
    raised = after(quiet_alert("r", 0), (0, 150.0))[-1].alert
    taken = acknowledge(raised, actor="ana", reason=None, now=SECOND)
    assert taken is not None
    assert taken.notice is not None
    assert taken.notice.action is NoticeAction.ACKNOWLEDGE
    again = acknowledge(taken.alert, actor="ben", reason=None, now=2 * SECOND)
    assert again is not None
    assert (again.transitions, again.alert.acknowledged_by) == ((), "ana")
    worse = after(taken.alert, (15, 250.0), (30, 0.0), (330, 0.0))
    assert signals(worse) == [AlertSignal.CRITICAL_RAISED, AlertSignal.CLEARED]
    assert notices(worse) == [(NoticeAction.RESOLVE, Severity.OK)]
    assert worse[-1].alert.acknowledged_by is None


def test_what_is_not_active_cannot_be_acknowledged() -> None:
    assert acknowledge(quiet_alert("r", 0), actor="ana", reason=None, now=0) is None


def test_resolving_by_hand_ends_it_and_a_signal_that_is_still_there_raises_it_anew_quietly() -> None:
    raised = after(quiet_alert("r", 0), (0, 150.0))[-1].alert
    ended = resolve(RULE, raised, actor="ana", reason="known", now=10 * SECOND)
    assert (ended.alert.severity, ended.alert.lifecycle) == (Severity.OK, Lifecycle.RESOLVED)
    assert ended.notice is not None
    assert ended.notice.action is NoticeAction.RESOLVE
    assert resolve(RULE, ended.alert, actor="ana", reason=None, now=11 * SECOND).transitions == ()
    again = after(ended.alert, (15, 150.0))
    assert signals(again) == [AlertSignal.WARNING_RAISED]
    assert notices(again) == []
