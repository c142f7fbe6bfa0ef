"""Sessions through the gate: what is stored of each record, and totals that always equal what they sum up."""

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import RowMapping, select

from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules, Mode
from contracts.registry import REGISTRY
from domain.ledger.percentiles import NO_RUNTIME, bucket_of
from handlers.effects import Verdict
from storage.engine.database import Database
from storage.tables.sessions import session_events, session_ledger
from storage.tables.usage import daily_usage_agg, model_perf_agg, session_usage
from tests.contracts.samples import TRACE, Json, envelope, envelope_1, event, event_envelope, usage, usage_1, without
from tests.handlers.deciding import Stream, outcomes, rows, settled

FIXTURES = Path(__file__).parents[2] / "contracts" / "fixtures"
PROVENANCE = usage()["provenance"]


async def only_usage(database: Database) -> RowMapping:
    [row] = await rows(database, select(session_usage))
    return row


def uncosted(**changes: Json) -> Json:
    missing = {"cost": {"source": "missing", "confidence": "unknown"}}
    return without(usage(provenance=PROVENANCE | missing, **changes), "cost_usd", "pricing_version")


async def test_a_reported_cost_stands_beside_the_computed_one(database: Database) -> None:
    await settled(database, [Stream().deliver(envelope(usage()))])

    row = await only_usage(database)
    assert (row["cost_usd_micros"], row["pricing_version"]) == (8_775, "2026-11-01")
    assert (row["cost_source"], row["cost_confidence"]) == ("provider_reported", "high")
    assert (row["computed_cost_usd_micros"], row["computed_pricing_version"]) == (12_000 + 6_900, "list-1")


async def test_totals_stay_at_the_largest_number_and_no_message_fails_for_what_others_add_up_to(
    database: Database,
) -> None:
    dear = usage(cost_usd="999999999999.999999", runtime_ms=1_795_169_730_123_456)
    stream = Stream()
    one_by_one = [await settled(database, [stream.deliver(envelope(dear, message_id=f"m{n}"))]) for n in range(12)]
    together = await settled(database, [stream.deliver(envelope(dear, message_id=f"t{n}")) for n in range(5_200)])

    assert {each.verdict for came in (*one_by_one, together) for each in came.outcomes} == {Verdict.ACCEPTED}
    [session] = await rows(database, select(session_ledger))
    [day] = await rows(database, select(daily_usage_agg))
    assert (session["requests"], session["cost_usd_micros"]) == (5_212, 2**63 - 1)
    assert (day["cost_usd_micros"], day["cost_usd_micros_reported"], day["runtime_ms"]) == (2**63 - 1,) * 3
    saturated = [sum(fact.value for fact in each.facts if fact.name == "totals_saturated") for each in one_by_one]
    assert saturated == [0] * 9 + [3] * 3  # the session, the hour, the day


async def test_a_missing_cost_is_derived_and_keeps_the_prices_it_came_from(database: Database) -> None:
    await settled(database, [Stream().deliver(envelope(uncosted()))])

    row = await only_usage(database)
    assert (row["cost_usd_micros"], row["pricing_version"]) == (18_900, "list-1")
    assert (row["cost_source"], row["cost_confidence"]) == ("derived", "medium")
    assert (row["input_price_usd_micros_per_mtok"], row["output_price_usd_micros_per_mtok"]) == (10_000_000, 20_000_000)


async def test_an_unknown_price_leaves_the_cost_empty_and_is_counted(database: Database) -> None:
    answer = await settled(database, [Stream().deliver(envelope(uncosted(model="nobody/knows")))])

    row = await only_usage(database)
    assert row["cost_usd_micros"] is None
    assert row["pricing_version"] is None
    assert (row["cost_source"], row["cost_confidence"]) == ("missing", "unknown")
    assert [(fact.name, fact.value) for fact in answer.facts] == [("usage_unpriced", 1)]
    [day] = await rows(database, select(daily_usage_agg))
    assert (day["cost_usd_micros"], day["cost_missing_count"], day["unpriced"]) == (0, 1, 1)


async def test_a_usage_1_0_is_stored_as_2_0_of_little_confidence(database: Database) -> None:
    recorded = orjson.loads((FIXTURES / "session.usage-1.0.json").read_bytes())

    [outcome] = await outcomes(database, [Stream().deliver(envelope(recorded, schema_version="1.0"))])

    assert outcome.verdict is Verdict.ACCEPTED
    row = await only_usage(database)
    assert (row["session_id"], row["model"], row["at"]) == (
        "writer-3:2024-03-01",
        "gpt-4-0613",
        1_709_281_800_250_000,
    )
    assert (row["pricing_version"], row["tokens_source"], row["tokens_confidence"]) == (
        "legacy",
        "provider_reported",
        "low",
    )


async def test_a_version_1_envelope_is_a_duplicate_of_itself_by_header_and_by_hash(database: Database) -> None:
    stream = Stream()
    body = (FIXTURES / "envelope-1-session.usage-1.0.json").read_bytes()

    first = await outcomes(database, [stream.deliver(body), stream.deliver(body)])
    by_header = await outcomes(database, [stream.deliver(body, headers={"Nats-Msg-Id": "writer-3.17"})] * 2)

    assert [outcome.verdict for outcome in first] == [Verdict.ACCEPTED, Verdict.DUPLICATE]
    assert [outcome.verdict for outcome in by_header] == [Verdict.ACCEPTED, Verdict.DUPLICATE]
    assert {row["producer"] for row in await rows(database, select(session_usage))} == {"unknown"}


async def test_a_bare_payload_is_taken_in_compat_mode_alone(database: Database) -> None:
    strict, compat = Stream(), Stream(name="HG_OLD", gate=Gate(REGISTRY, GateRules(mode=Mode.COMPAT)))

    [refused] = await outcomes(database, [strict.deliver(usage_1())])
    taken = await outcomes(
        database, [compat.deliver(usage_1()), compat.deliver(without(envelope_1(usage_1()), "envelope_version"))]
    )

    assert refused.verdict is Verdict.REFUSED
    assert [outcome.verdict for outcome in taken] == [Verdict.ACCEPTED, Verdict.DUPLICATE]


async def test_an_event_keeps_text_and_data_as_they_came(database: Database) -> None:
    data = {"b": [1, 2.5, None, "\0"], "a": {"\N{SNOWMAN}": 2**53}}
    await settled(
        database,
        [
            Stream().deliver(
                event_envelope(event(text="nul \0 and \ue000", data=data, type="completed")), "session.event"
            )
        ],
    )

    [stored] = await database.read(lambda uow: uow.ledger.newest_events("planner-7:s-42", limit=5))
    assert stored.text == "nul \0 and \ue000"
    assert stored.data is not None
    assert orjson.loads(stored.data) == data
    assert (stored.trace_id, stored.producer) == (TRACE, "planner-7")
    session = await database.read(lambda uow: uow.ledger.get("planner-7:s-42"))
    assert session is not None
    assert (session.status, session.events, session.requests) == ("completed", 1, 0)


def at(minute: int) -> str:
    return datetime.fromtimestamp(1_795_132_800 + minute * 60, UTC).isoformat()


@st.composite
def records(draw: st.DrawFn) -> tuple[str, Json]:
    """A usage record or an event, on a few sessions, agents, models and days."""
    common = {"session_id": draw(st.sampled_from("st")), "at": at(draw(st.integers(0, 4_000)))}
    if draw(st.booleans()):
        words = ["started", "heartbeat", "message", "completed", "failed", "killed"]
        return ("session.event", common | {"type": draw(st.sampled_from(words))})
    payload = {
        "model": draw(st.sampled_from(["openai/gpt-5", "nobody/knows"])),
        "status": draw(st.sampled_from(["ok", "error"])),
        "input_tokens": draw(st.integers(0, 10**6)),
        "runtime_ms": draw(st.integers(0, 10**6)),
    }
    return ("session.usage", common | payload)


runs = itertools.count(1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.lists(records(), min_size=1, max_size=8), min_size=1, max_size=4))
async def test_totals_equal_what_the_rows_sum_up_to(database: Database, sent: list[list[tuple[str, Json]]]) -> None:
    agent = f"agent{next(runs)}"
    stream, number = Stream(name=agent), itertools.count()

    def deliverable(kind: str, changes: Json) -> Json:
        scope = changes | {"session_id": f"{agent}-{changes['session_id']}", "agent": agent}
        message_id = f"{agent}:{next(number)}"
        if kind == "session.event":
            return event_envelope(event(**scope), message_id=message_id)
        return envelope(uncosted(**scope), message_id=message_id)

    for batch in sent:
        got = await outcomes(database, [stream.deliver(deliverable(kind, changes), kind) for kind, changes in batch])
        assert {outcome.verdict for outcome in got} == {Verdict.ACCEPTED}

    usages = await rows(database, select(session_usage).where(session_usage.c.agent == agent))
    events = await rows(database, select(session_events).where(session_events.c.agent == agent))
    assert len(usages) + len(events) == sum(map(len, sent))
    await expect_sessions(database, agent, usages, events)
    await expect_days(database, agent, usages)
    await expect_performance(database, agent, usages)


async def expect_sessions(
    database: Database, agent: str, usages: Sequence[RowMapping], events: Sequence[RowMapping]
) -> None:
    for row in await rows(database, select(session_ledger).where(session_ledger.c.agent == agent)):
        mine = [usage for usage in usages if usage["session_id"] == row["session_id"]]
        said = [event for event in events if event["session_id"] == row["session_id"]]
        times = [record["at"] for record in (*mine, *said)]
        assert (row["requests"], row["events"]) == (len(mine), len(said))
        assert row["errors"] == sum(usage["status"] == "error" for usage in mine)
        assert row["input_tokens"] == sum(usage["input_tokens"] for usage in mine)
        assert row["output_tokens"] == sum(usage["output_tokens"] for usage in mine)
        assert row["cost_usd_micros"] == sum(usage["cost_usd_micros"] or 0 for usage in mine)
        assert (row["started_at"], row["last_at"]) == (min(times), max(times))
        if said:
            newest = max(event["at"] for event in said)
            ends = {event["type"] for event in said if event["at"] == newest} & {"completed", "failed", "killed"}
            assert row["status"] in (ends or {"running"})


def day_of(row: RowMapping) -> str:
    return datetime.fromtimestamp(row["at"] / 1_000_000, UTC).date().isoformat()


async def expect_days(database: Database, agent: str, usages: Sequence[RowMapping]) -> None:
    days = await rows(database, select(daily_usage_agg).where(daily_usage_agg.c.agent == agent))
    assert {(row["day"], row["model"]) for row in days} == {(day_of(usage), usage["model"]) for usage in usages}
    for row in days:
        mine = [usage for usage in usages if (day_of(usage), usage["model"]) == (row["day"], row["model"])]
        assert row["requests"] == len(mine)
        assert row["errors"] == sum(usage["status"] == "error" for usage in mine)
        assert row["runtime_ms"] == row["runtime_ms_derived"] == sum(usage["runtime_ms"] for usage in mine)
        assert row["tokens_reported"] == sum(usage["input_tokens"] + usage["output_tokens"] for usage in mine)
        assert row["cost_usd_micros"] == row["cost_usd_micros_derived"]
        assert row["cost_usd_micros"] == sum(usage["cost_usd_micros"] or 0 for usage in mine)
        assert row["unpriced"] == sum(usage["cost_usd_micros"] is None for usage in mine)


async def expect_performance(database: Database, agent: str, usages: Sequence[RowMapping]) -> None:
    found = await rows(database, select(model_perf_agg).where(model_perf_agg.c.agent == agent))
    counted = {(row["day"], row["model"], row["bucket"]): (row["requests"], row["errors"]) for row in found}
    requests: Counter[tuple[str, str, int]] = Counter()
    errors: Counter[tuple[str, str, int]] = Counter()
    for row in usages:
        bucket = NO_RUNTIME if row["runtime_ms"] is None else bucket_of(row["runtime_ms"])
        key = (day_of(row), row["model"], bucket)
        requests[key] += 1
        errors[key] += row["status"] == "error"
    assert counted == {key: (count, errors[key]) for key, count in requests.items()}
