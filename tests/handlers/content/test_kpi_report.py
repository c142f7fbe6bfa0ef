"""``kpi-report`` over real rows: what it answers, what joins when the other side comes, and how it is read."""

import pytest
from pydantic import TypeAdapter

from contracts.gate.canonical import payload_hash
from contracts.registry import REGISTRY
from contracts.results.ledger import KpiReport
from contracts.subjects import Family
from contracts.values.principals import Principal
from contracts.values.times import format_micros
from domain.content.kpi import Period, report_days
from handlers.commands.command import Command, Reply, answer
from handlers.content.kpi import report_kpis
from handlers.effects import Verdict
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import TRACE, Json, envelope, idea, script
from tests.handlers.deciding import NOW, Stream, context, outcomes
from tests.handlers.jobs.owners import EVERYTHING, result
from tests.support import statements

WINDOW = {"from": "2026-11-19T00:00:00Z", "to": "2026-11-21T00:00:00Z"}


def measured(post_id: str, day: int, reach: int, **more: Json) -> Json:
    counts = {"impressions": 2 * reach, "reach": reach, "likes": 1, "comments": 1, "saves": 5, "shares": 1, "views": 10}
    at = f"2026-11-{day}T12:00:00Z"
    return {"post_id": post_id, "platform": "shorts", "at": at, **counts, "watch_through": 0.25, **more}


class Meter:
    """Publishes what is given to it, each kind by its fields."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stream = Stream()
        self._count = 0

    async def send(self, *payloads: Json) -> None:
        batch = []
        for payload in payloads:
            self._count += 1
            kind = (
                "content.performance" if "reach" in payload
                else "content.schedule" if "caption" in payload
                else "content.script" if "script_id" in payload
                else "content.idea"
            )  # fmt: skip
            body = envelope(payload, kind, "1.0", message_id=f"m:{self._count}")
            batch.append(self._stream.deliver(body, kind))
        assert {outcome.verdict for outcome in await outcomes(self._database, batch)} == {Verdict.ACCEPTED}

    async def ask(self, **asked: Json) -> Reply:
        contract = REGISTRY.contract("kpi-report", Family.OPS)
        assert contract is not None
        payload = contract.newest.model.model_validate({"period": "daily", **WINDOW, **asked})
        command = Command("kpi-report", "m", TRACE, payload, payload_hash({}), Principal("ada", EVERYTHING))
        return await self._database.read(lambda uow: answer(report_kpis, command, uow, context(now=NOW)))


def schedule(post_id: str, **more: Json) -> Json:
    publish_at = "2026-11-18T10:00:00Z"
    return {"post_id": post_id, "platform": "shorts", "publish_at": publish_at, "caption": "c", "hashtags": [], **more}


async def test_a_report_has_posts_periods_totals_and_change(database: Database) -> None:
    meter = Meter(database)
    await meter.send(measured("a", 18, 80), measured("a", 19, 100), measured("a", 20, 150), measured("b", 20, 10))

    report = result(await meter.ask())

    TypeAdapter(KpiReport).validate_python(report)
    assert (report["period"], report["from"], report["to"]) == (
        "daily",
        "2026-11-19T00:00:00.000000Z",
        "2026-11-21T00:00:00.000000Z",
    )
    assert [(post["post_id"], post["reach"]) for post in report["posts"]] == [("a", 150), ("b", 10)]
    assert [(each["start"], each["reach"]) for each in report["periods"]] == [("2026-11-19", 100), ("2026-11-20", 160)]
    assert (report["totals"]["reach"], report["totals"]["watch_through"]) == (160, 0.25)
    assert report["change"]["reach"] == 1.0
    assert {post["anomaly"] for post in report["posts"]} == {False}


async def test_what_is_known_of_a_post_joins_when_it_comes(database: Database) -> None:
    meter = Meter(database)
    await meter.send(measured("a", 20, 100), measured("b", 20, 100))
    [alone, _] = result(await meter.ask())["posts"]
    await meter.send(schedule("a", topic="harbours", objective="saves"), schedule("b", script_id="script-1"))
    await meter.send(script())
    await meter.send(idea(topic="lighthouses", objective="reach"))

    [a, b] = result(await meter.ask())["posts"]

    assert (alone["topic"], alone["objective"], alone["objective_value"]) == (None, None, None)
    assert (a["topic"], a["objective"], a["objective_value"]) == ("harbours", "saves", 5)
    assert (b["topic"], b["objective"], b["objective_value"]) == ("lighthouses", "reach", 100)
    only = result(await meter.ask(topic="lighthouses"))["posts"]
    assert [post["post_id"] for post in only] == ["b"]
    assert result(await meter.ask(platform="radio"))["posts"] == []


async def test_a_week_has_the_latest_measurement_of_each_post(database: Database) -> None:
    meter = Meter(database)
    await meter.send(measured("a", 16, 10), measured("a", 18, 30), measured("a", 17, 20), measured("b", 15, 5))
    await meter.send(measured("a", 23, 90))

    window = {"from": "2026-11-16T00:00:00Z", "to": "2026-11-30T00:00:00Z"}
    report = result(await meter.ask(period="weekly", **window))

    assert [(each["start"], each["reach"]) for each in report["periods"]] == [("2026-11-16", 30), ("2026-11-23", 90)]
    assert report["totals"]["reach"] == 90
    assert report["change"]["reach"] == 17.0


async def test_one_of_ten_that_stands_out_is_flagged(database: Database) -> None:
    meter = Meter(database)
    await meter.send(*(measured(f"p{number}", 20, 100 + number) for number in range(9)), measured("odd", 20, 5_000))

    report = result(await meter.ask())

    assert [post["post_id"] for post in report["posts"] if post["anomaly"]] == ["odd"]
    text = result(await meter.ask(format="text"))["text"]
    assert "! odd" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("period", "count"), [("daily", 7), ("weekly", 4)])
async def test_without_a_window_the_last_periods_up_to_now_are_told(
    database: Database, period: str, count: int
) -> None:
    report = result(await Meter(database).ask(period=period, **{"from": None, "to": None}))

    assert len(report["periods"]) == count
    assert report["periods"][-1]["start"] <= format_micros(NOW)[:10]
    assert report["from"] < format_micros(NOW) < report["to"]


@pytest.mark.parametrize("period", Period)
async def test_a_report_reads_its_days_by_an_index(database: Database, period: Period) -> None:
    days = report_days(period, 20_000, 20_007)

    def plan(uow: UnitOfWork) -> str:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # read whole only what has no index
        asked = statements.plans(
            uow, lambda uow: uow.kpi.post_days(period, days.first, days.until, topic="t", platform="shorts")
        )
        return "\n".join(asked)

    text = await database.write(plan)

    assert "Seq Scan" not in text, text
    scanned = [line for line in text.splitlines() if line.startswith("SCAN ") and "answer" not in line]
    assert [line for line in scanned if "post_performance_daily" in line or "publications" in line] == [], text
