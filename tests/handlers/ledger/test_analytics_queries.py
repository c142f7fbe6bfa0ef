"""``analytics.usage`` and ``analytics.performance`` as they are asked and answered."""

import pytest
import pytest_asyncio
from msgspec.structs import replace
from pydantic import ValidationError

from contracts.payloads.commands.analytics import AnalyticsUsage
from handlers.commands.command import answer
from handlers.ledger.analytics import sum_usage
from storage.engine.database import Database
from tests.contracts.samples import Json, envelope, usage, without
from tests.handlers.deciding import Stream, context, outcomes
from tests.handlers.jobs.owners import House, code, command, result

MISSING = {"source": "missing", "confidence": "unknown"}
DAY = {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"}


def unpriced(**changes: Json) -> Json:
    body = usage(model="nobody/knows", provenance=usage()["provenance"] | {"cost": MISSING}, **changes)
    return without(body, "cost_usd", "pricing_version")


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    """Two agents on one day: one with a reported cost, one whose model has no price, and a failure of it."""
    stream = Stream()
    bodies = [
        usage(agent="writer", at="2026-11-20T10:59:59.999999Z", cost_usd="1.5", input_tokens=10, output_tokens=5),
        unpriced(agent="planner", at="2026-11-20T11:00:00Z", input_tokens=1, output_tokens=1, runtime_ms=100),
        unpriced(agent="planner", at="2026-11-20T12:30:00+01:00", status="error", runtime_ms=200),
    ]
    batch = [stream.deliver(envelope(body, message_id=f"u:{number}")) for number, body in enumerate(bodies)]
    assert {outcome.status for outcome in await outcomes(database, batch)} == {201}
    return House(database)


async def items(house: House, name: str, asked: Json) -> Json:
    return result(await house.ask(name, {**DAY, **asked}))["items"]


async def test_totals_tell_where_each_figure_comes_from(house: House) -> None:
    answered = result(await house.ask("analytics.usage", {**DAY, "group_by": "agent"}))

    planner, writer = answered["items"]
    assert (planner["key"], planner["requests"], planner["errors"]) == ("planner", 2, 1)
    assert planner["cost_usd"] is None
    assert planner["cost"] == {"reported": "0.000000", "derived": "0.000000", "missing_count": 2}
    assert writer["tokens"] == {"reported": 15, "derived": 0, "missing_count": 0}
    assert (writer["cost_usd"], answered["totals"]["cost_usd"]) == ("1.500000", "1.500000")
    assert answered["totals"]["requests"] == 3
    assert "key" not in answered["totals"]


@pytest.mark.parametrize(
    ("group_by", "keys"),
    [
        ("hour", ["2026-11-20T10", "2026-11-20T11"]),
        ("day", ["2026-11-20"]),
        (["model"], ["nobody/knows", "openai/gpt-5"]),
        (["day", "agent"], [["2026-11-20", "planner"], ["2026-11-20", "writer"]]),
        (["agent", "hour"], [["planner", "2026-11-20T11"], ["writer", "2026-11-20T10"]]),
    ],
)
async def test_a_key_is_a_word_or_the_list_of_both(house: House, group_by: Json, keys: Json) -> None:
    assert [item["key"] for item in await items(house, "analytics.usage", {"group_by": group_by})] == keys


async def test_a_window_begins_with_its_first_instant_and_ends_before_its_last(house: House) -> None:
    window = {"from": "2026-11-20T10:59:59.999999Z", "to": "2026-11-20T11:00:00Z"}

    assert [item["key"] for item in await items(house, "analytics.usage", {**window, "group_by": "agent"})] == [
        "writer"
    ]


async def test_nothing_in_the_window_is_nothing_and_no_cost(house: House) -> None:
    window = {"from": DAY["from"], "to": DAY["from"]}
    answered = result(await house.ask("analytics.usage", {**window, "group_by": "day"}))

    assert answered["items"] == []
    assert (answered["totals"]["requests"], answered["totals"]["cost_usd"]) == (0, None)


async def test_performance_has_rates_and_percentiles(house: House) -> None:
    [unknown, known] = await items(house, "analytics.performance", {})

    assert (unknown["key"], unknown["requests"], unknown["errors"], unknown["error_rate"]) == (
        "nobody/knows",
        2,
        1,
        0.5,
    )
    assert unknown["p50_runtime_ms"] == pytest.approx(100, rel=0.1)
    assert unknown["p95_runtime_ms"] == pytest.approx(200, rel=0.1)
    assert known["key"] == "openai/gpt-5"
    [writer, *_] = await items(house, "analytics.performance", {"group_by": "agent", "agent": "writer"})
    assert (writer["key"], writer["requests"]) == ("writer", 1)


async def test_more_groups_than_a_reply_can_tell_are_refused(house: House, database: Database) -> None:
    asked = command("analytics.usage", {**DAY, "group_by": "agent"})
    tight = replace(context(), max_message_bytes=500)

    refused = await database.read(lambda uow: answer(sum_usage, asked, uow, tight))

    assert code(refused) == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({**DAY, "group_by": ["day", "day"]}, ("group_by",)),
        ({"from": DAY["to"], "to": DAY["from"], "group_by": "day"}, ("to",)),
    ],
)
def test_a_key_twice_and_an_end_before_the_start_are_refused(asked: Json, path: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        AnalyticsUsage.model_validate(asked)

    assert [error["loc"] for error in refused.value.errors()] == [path]
