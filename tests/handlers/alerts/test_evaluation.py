"""What follows from rules and readings, in one transaction, on both databases."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import orjson
import pytest
from sqlalchemy import insert

from contracts.values.alerts import AlertSignal, NoticeAction, Severity
from domain.alerts.alerts import AlertRule
from domain.alerts.notices import NotifierTerms
from domain.alerts.signals import JOB_DONE, JOB_FAILED, MinuteCount, minute_of
from domain.ledger.percentiles import bucket_of
from handlers.alerts.evaluation import apply_rules, judge
from handlers.alerts.readings import READINGS, Reading
from handlers.alerts.recorder import AlertRecorder
from storage.engine.database import Database
from storage.journal.outbox import OutboxMessage
from storage.tables.usage import daily_usage_agg
from storage.tables.work import work
from storage.unit_of_work import UnitOfWork
from tests.handlers.content.test_kpi_report import Meter, measured
from tests.handlers.deciding import NOW, context, waiting
from tests.support import statements

SECOND = 1_000_000
COST = AlertRule("cost_usd_per_day", 100.0, 200.0, 86_400.0, 900.0, 300.0)
RATE = AlertRule("failure_rate", 0.05, 0.2, 900.0, 900.0, 300.0)
NOTIFIERS = [NotifierTerms("chat", Severity.WARNING), NotifierTerms("pager", Severity.CRITICAL)]


async def applied(database: Database, *rules: AlertRule) -> AlertRecorder:
    return await database.write(lambda uow: apply_rules(rules, uow, context(), NOTIFIERS))


async def judged(database: Database, seconds: float, values: Mapping[str, float | None]) -> AlertRecorder:
    readings = {rule: Reading(value, {"said": "so"}) for rule, value in values.items()}
    now = NOW + int(seconds * SECOND)
    return await database.write(lambda uow: judge(readings, uow, context(now=now), NOTIFIERS))


async def read(database: Database, rule: AlertRule) -> Reading:
    return await database.read(partial(READINGS[rule.rule], rule, context=context()))


async def test_rules_of_the_settings_are_kept_once_and_a_changed_one_leaves_a_step(database: Database) -> None:
    assert (await applied(database, COST, RATE)).transitions == []
    assert (await applied(database, COST, RATE)).transitions == []
    (changed,) = (await applied(database, replace(COST, warning=50.0), RATE)).transitions
    assert (changed.step.rule, changed.step.what) == ("cost_usd_per_day", AlertSignal.RULE_CHANGED)
    assert changed.facts["before"] != changed.facts["after"]
    assert (await database.read(lambda uow: uow.alerts.rules()))["cost_usd_per_day"].warning == 50.0


async def test_a_step_is_a_row_an_event_and_what_each_notifier_hears_of(database: Database) -> None:
    await applied(database, COST, RATE)
    await judged(database, 0, {"cost_usd_per_day": 150.0, "failure_rate": None})
    await judged(database, 15, {"cost_usd_per_day": 250.0})
    await judged(database, 30, {"cost_usd_per_day": 250.0})
    history = await database.read(lambda uow: uow.alerts.history("cost_usd_per_day", limit=10))
    assert [stored.step.after.severity for stored in history] == [Severity.CRITICAL, Severity.WARNING]
    events = await waiting(database, "HG_EVENT")
    assert [event.subject for event in events] == [
        "hg.event.alert.cost_usd_per_day.warning",
        "hg.event.alert.cost_usd_per_day.critical",
    ]
    payload = orjson.loads(events[1].body)["payload"]
    assert (payload["value"], payload["from"]["severity"], payload["facts"]) == (250.0, "warning", {"said": "so"})
    assert [told(message) for message in await waiting(database, "HG_NOTIFY")] == [
        ("chat", "trigger", "warning"),
        ("chat", "trigger", "critical"),
        ("pager", "trigger", "critical"),
    ]


async def test_for_a_notifier_that_hears_of_critical_only_a_warning_is_the_end(database: Database) -> None:
    await applied(database, COST)
    for seconds, value in ((0, 250.0), (15, 150.0), (315, 150.0), (330, 0.0), (630, 0.0)):
        await judged(database, seconds, {"cost_usd_per_day": value})
    messages = [told(message) for message in await waiting(database, "HG_NOTIFY")]
    assert [message[1:] for message in messages if message[0] == "pager"] == [
        (NoticeAction.TRIGGER, "critical"),
        (NoticeAction.RESOLVE, "warning"),
    ]
    assert [message[1:] for message in messages if message[0] == "chat"] == [
        ("trigger", "critical"),
        ("trigger", "warning"),
        ("resolve", "ok"),
    ]


async def test_a_repeat_that_waited_for_its_cooldown_is_told_of_the_step_that_raised_it(database: Database) -> None:
    await applied(database, COST)
    for seconds, value in ((0, 150.0), (15, 0.0), (315, 0.0), (400, 150.0), (899, 150.0), (900, 150.0)):
        await judged(database, seconds, {"cost_usd_per_day": value})
    last = await database.read(lambda uow: uow.alerts.last_transition("cost_usd_per_day"))
    assert last is not None
    message = (await waiting(database, "HG_NOTIFY"))[-1]
    assert orjson.loads(message.body)["payload"]["transition_id"] == last.transition_id
    assert last.step.what is AlertSignal.WARNING_RAISED


def told(message: OutboxMessage) -> tuple[str, str, str]:
    payload = orjson.loads(message.body)["payload"]
    return payload["notifier"], payload["action"], payload["severity"]


# -- what rules read


async def test_the_failure_rate_and_the_runtime_are_those_of_jobs_that_ended_in_the_window(database: Database) -> None:
    def count(uow: UnitOfWork) -> None:
        minute, old = minute_of(NOW), minute_of(NOW - 1_000 * SECOND)
        uow.signal_counts.add(
            [
                MinuteCount(JOB_DONE, minute, bucket_of(10_000), 8, "job a"),
                MinuteCount(JOB_FAILED, minute, bucket_of(900_000), 2, "job b"),
                MinuteCount(JOB_FAILED, old, bucket_of(1), 50, "job c"),
            ]
        )

    await database.write(count)
    rate = await read(database, RATE)
    assert rate.value == 0.2
    assert rate.facts == {"ended": 10, "failed": 2, "newest_failed": ["job b"]}
    runtime = await read(database, AlertRule("p95_runtime_ms", 1, 2, 900, 900, 300))
    assert runtime.value is not None
    assert abs(runtime.value - 900_000) <= 45_000


async def test_where_no_job_ended_there_is_no_rate(database: Database) -> None:
    assert (await read(database, RATE)).value is None


async def test_cost_is_that_of_the_day_and_saturated_sums_do_not_break_it(database: Database) -> None:
    def spend(uow: UnitOfWork) -> None:
        for day, agent, micros in (
            ("2026-11-20", "a", 120_500_000),
            ("2026-11-20", "b", 30_000_000),
            ("2026-11-19", "a", 999),
        ):
            values = {column.name: 0 for column in daily_usage_agg.columns}
            row = {
                **values,
                "day": day,
                "agent": agent,
                "model": "m",
                "cost_usd_micros": micros,
                "cost_missing_count": 1,
            }
            uow.connection.execute(insert(daily_usage_agg).values(row))

    await database.write(spend)
    cost = await read(database, COST)
    assert (cost.value, cost.facts["cost_missing_count"]) == (150.5, 2)
    huge = insert(daily_usage_agg).values(
        {column.name: 2**63 - 1 for column in daily_usage_agg.columns}
        | {"day": "2026-11-20", "agent": "c", "model": "m"}
    )
    await database.write(lambda uow: uow.connection.execute(huge).rowcount)
    assert ((await read(database, COST)).value or 0) > 9e12


async def test_a_job_is_stuck_while_its_work_is_past_its_deadline(database: Database) -> None:
    def hand_out(uow: UnitOfWork) -> None:
        for number, (kind, state, deadline_at) in enumerate(
            [
                ("job", "dispatched", NOW - 1),
                ("job", "dispatched", NOW + 1),
                ("job", "done", NOW - 1),
                ("item", "dispatched", NOW - 1),
            ]
        ):
            values = {column.name: 0 for column in work.columns if not column.nullable}
            texts = {"work_id": f"w{number}", "message_id": f"m{number}", "type": "job.process", "trace_id": "t"}
            subject = {"subject_kind": kind, "subject_id": f"s{number}", "state": state, "deadline_at": deadline_at}
            uow.connection.execute(insert(work).values({**values, **texts, **subject}))

    await database.write(hand_out)
    assert (await read(database, AlertRule("stuck_jobs", 10, 50, 3_600, 900, 300))).value == 1


async def test_every_rule_of_the_settings_can_be_read_from_an_empty_database(database: Database) -> None:
    for name in READINGS:
        reading = await read(database, AlertRule(name, 1, 2, 60, 60, 60))
        assert reading.value in (None, 0.0), name


async def test_a_post_that_stands_out_is_an_anomaly_as_the_report_tells_it(database: Database) -> None:
    rule = AlertRule("kpi_anomaly", 1, 5, 604_800, 900, 300)
    assert (await read(database, rule)).value is None
    meter = Meter(database)
    await meter.send(*(measured(f"post-{number}", 19, 100 + number, saves=0, shares=0) for number in range(10)))
    assert (await read(database, rule)).value == 0.0
    await meter.send(measured("post-odd", 19, 90_000))
    odd = await read(database, rule)
    assert odd.value == 1.0
    assert odd.facts["posts"] == 11
    assert str(odd.facts["worst"]).startswith("['post-odd: z ")


INDEXED = ("failure_rate", "cost_usd_per_day", "stuck_jobs", "dead_letters_open", "work_given_up", "outbox_refused")
GROWING = "(work|daily_usage_agg|signal_counts|dead_letters|outbox)"


@pytest.mark.parametrize("name", INDEXED)
async def test_what_a_rule_reads_is_found_by_keys_and_indexes(database: Database, name: str) -> None:
    """No plan walks through a table that grows."""
    rule = AlertRule(name, 1, 2, 900, 900, 300)

    def explained(uow: UnitOfWork) -> str:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return "\n".join(statements.plans(uow, lambda uow: READINGS[name](rule, uow, context())))

    plan = await database.read(explained)
    assert re.search(rf"SCAN {GROWING}\b(?! USING (COVERING )?INDEX)|Seq Scan on {GROWING}\b", plan) is None, plan
