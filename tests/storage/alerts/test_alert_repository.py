"""Alerts as they are stored: the same on both databases."""

from dataclasses import replace

from contracts.values.alerts import AlertSignal, Lifecycle, NoticeAction, NoticeState, Severity
from domain.alerts.alerts import AlertRule, evaluate, quiet_alert, suppress
from domain.alerts.signals import MinuteCount
from storage.alerts.alerts import Notification, NotificationKey, StoredTransition, TransitionMark
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork

SECOND = 1_000_000
RULE = AlertRule("failure_rate", 0.05, 0.2, 900.0, 60.0, 300.0)
TOLD = Notification(
    "t1", "ops", "failure_rate", NoticeAction.TRIGGER, Severity.WARNING, NoticeState.PENDING, 0, None, 5, 5
)


async def test_rules_are_kept_whole_and_replaced_by_name(database: Database) -> None:
    other = AlertRule("stuck_jobs", 10.0, 50.0, 3_600.0, 900.0, 300.0)
    await database.write(lambda uow: uow.alerts.put_rules([RULE, other], now=1))
    await database.write(lambda uow: uow.alerts.put_rules([replace(RULE, warning=0.07)], now=2))
    assert await database.read(lambda uow: uow.alerts.rules()) == {
        "failure_rate": replace(RULE, warning=0.07),
        "stuck_jobs": other,
    }


async def test_an_alert_reads_back_as_it_was_decided_and_is_never_added_twice(database: Database) -> None:
    raised = evaluate(RULE, quiet_alert("failure_rate", 7), 0.25, 10 * SECOND).alert
    quiet = suppress(RULE, raised, actor="ana", reason="known ✓", until=90 * SECOND, now=11 * SECOND).alert

    def write(uow: UnitOfWork) -> None:
        uow.alerts.add([quiet_alert("failure_rate", 7), quiet_alert("stuck_jobs", 7)])
        uow.alerts.store([quiet])
        uow.alerts.add([quiet_alert("failure_rate", 8)])

    await database.write(write)
    assert await database.read(lambda uow: uow.alerts.get("failure_rate")) == quiet
    assert await database.read(lambda uow: uow.alerts.all()) == [quiet, quiet_alert("stuck_jobs", 7)]
    assert await database.write(lambda uow: uow.alerts.lock()) == {
        "failure_rate": quiet,
        "stuck_jobs": quiet_alert("stuck_jobs", 7),
    }
    assert await database.read(lambda uow: uow.alerts.get("unknown")) is None


async def test_history_comes_newest_first_in_pages(database: Database) -> None:
    alert = quiet_alert("failure_rate", 0)
    steps = []
    for at, value in ((0, 0.06), (1, 0.3), (2, 0.0), (302, 0.0)):
        decision = evaluate(RULE, alert, value, at * SECOND)
        alert = decision.alert
        steps += [StoredTransition(f"t{step.version}", step, {"failed": 3}) for step in decision.transitions]
    await database.write(lambda uow: uow.alerts.add_transitions(steps))
    newest = await database.read(lambda uow: uow.alerts.history("failure_rate", limit=2))
    assert newest == [steps[2], steps[1]]
    assert [stored.step.what for stored in newest] == [AlertSignal.CLEARED, AlertSignal.CRITICAL_RAISED]
    older = await database.read(lambda uow: uow.alerts.history("failure_rate", before=TransitionMark(2), limit=2))
    assert older == [steps[0]]
    assert await database.read(lambda uow: uow.alerts.last_transition("failure_rate")) == steps[2]
    assert await database.read(lambda uow: uow.alerts.transition("t1")) == steps[0]
    assert newest[0].step.after.lifecycle is Lifecycle.RESOLVED


async def test_a_notification_is_kept_once_and_its_attempts_are_counted_until_it_is_over(database: Database) -> None:
    key = NotificationKey("t1", "ops")

    def write(uow: UnitOfWork) -> list[bool]:
        uow.alerts.add_notifications([TOLD, replace(TOLD, notifier="slack")])
        uow.alerts.add_notifications([replace(TOLD, attempts=9)])
        return [
            uow.alerts.record_attempt(key, state=NoticeState.PENDING, failure="status 500", now=6),
            uow.alerts.record_attempt(key, state=NoticeState.SENT, failure=None, now=7),
            uow.alerts.record_attempt(key, state=NoticeState.PENDING, failure="late", now=8),
        ]

    assert await database.write(write) == [True, True, False]
    sent = replace(TOLD, state=NoticeState.SENT, attempts=2, updated_at=7)
    assert await database.read(lambda uow: uow.alerts.notification(key)) == sent
    found = await database.read(lambda uow: uow.alerts.notifications_of(["t1", "t2"]))
    assert found == {"t1": [sent, replace(TOLD, notifier="slack")]}


async def test_counts_of_a_minute_add_up_and_remember_the_newest(database: Database) -> None:
    minute = 60 * SECOND
    first = [MinuteCount("a", minute, 1, 2, "x"), MinuteCount("a", minute, 2, 1, None), MinuteCount("b", 0, 0, 5, None)]
    await database.write(lambda uow: uow.signal_counts.add(first))
    await database.write(lambda uow: uow.signal_counts.add([MinuteCount("a", minute, 1, 3, "y")]))
    await database.write(lambda uow: uow.signal_counts.add([MinuteCount("a", minute, 1, 1, None)]))
    counted = await database.read(lambda uow: uow.signal_counts.since(["a", "b"], minute))
    assert counted == [MinuteCount("a", minute, 1, 6, "y"), MinuteCount("a", minute, 2, 1, None)]
