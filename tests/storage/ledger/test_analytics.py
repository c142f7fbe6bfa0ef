"""Sums over any window equal those of the records in it, and are read from what is summed up already."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ledger.analytics import Stretch, UsageTotals, Window, cut, cut_days
from domain.ledger.ledger import DAY_MICROS, HOUR_MICROS, fold
from domain.ledger.percentiles import NO_RUNTIME, bucket_of
from domain.ledger.saturation import MAX_TOTAL
from domain.ledger.usage import UsageRecord
from storage.engine.database import Database
from storage.ledger.analytics import GroupKey, UsageFilter
from storage.unit_of_work import UnitOfWork
from tests.support import statements

SOURCES = st.sampled_from(["provider_reported", "derived"])
# Around midnights and full hours, also before 1970: where sums of days, hours and records meet.
MOMENTS = st.builds(
    lambda hours, rest: hours * HOUR_MICROS + rest,
    st.integers(-30, 80),
    st.sampled_from([-1, 0, 1, HOUR_MICROS // 2]),
)
KEYS = ("hour", "day", "agent", "model")
GROUPS = [(one,) for one in KEYS] + [(one, other) for one in KEYS for other in KEYS if one != other]


class Undo(Exception):
    """Ends an example without a trace."""


@st.composite
def records(draw: st.DrawFn) -> UsageRecord:
    tokens, runtime, cost = draw(SOURCES), draw(st.none() | st.integers(0, 10**6)), draw(st.none() | st.integers(0, 99))
    counted = draw(st.booleans())
    return UsageRecord(
        message_id="m",
        session_id="s",
        agent=draw(st.sampled_from(["a", "b"])),
        model=draw(st.sampled_from(["m", "n"])),
        at=draw(MOMENTS),
        status=draw(st.sampled_from(["ok", "error"])),
        input_tokens=draw(st.integers(0, 999)) if counted else None,
        output_tokens=draw(st.integers(0, 999)) if counted else None,
        runtime_ms=runtime,
        cost_usd_micros=cost,
        computed_cost_usd_micros=None,
        pricing_version=None,
        input_price_usd_micros_per_mtok=None,
        output_price_usd_micros_per_mtok=None,
        computed_pricing_version=None,
        tokens_source=tokens if counted else "missing",
        tokens_confidence="high",
        runtime_source="missing" if runtime is None else draw(SOURCES),
        runtime_confidence="low",
        cost_source="missing" if cost is None else draw(SOURCES),
        cost_confidence="medium",
        trace_id="t",
        producer="p",
        created_at=1,
    )


def store(uow: UnitOfWork, usage: list[UsageRecord]) -> None:
    changes = fold(usage, [])
    uow.usage.add(usage)
    uow.usage.add_to_hours(changes.hours)
    uow.usage.add_to_days(changes.days)
    uow.performance.add(changes.performance)


def moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def key_of(record: UsageRecord, keys: tuple[str, ...]) -> GroupKey:
    at = moment(record.at)
    words = {"hour": at.strftime("%Y-%m-%dT%H"), "day": at.date().isoformat()}
    words |= {"agent": record.agent, "model": record.model}
    return tuple(words[key] for key in keys)


def summed(usage: list[UsageRecord], keys: tuple[str, ...]) -> Mapping[GroupKey, UsageTotals]:
    """The sums by group, one record after the other."""
    sums: defaultdict[GroupKey, Counter[str]] = defaultdict(Counter)
    for record in usage:
        group = sums[key_of(record, keys)]
        tokens = (record.input_tokens or 0) + (record.output_tokens or 0)
        group.update(
            requests=1,
            errors=record.status == "error",
            input_tokens=record.input_tokens or 0,
            output_tokens=record.output_tokens or 0,
            runtime_ms=record.runtime_ms or 0,
            cost_usd_micros=record.cost_usd_micros or 0,
        )
        figures = (
            ("tokens", "tokens", record.tokens_source, tokens),
            ("runtime_ms", "runtime", record.runtime_source, record.runtime_ms or 0),
            ("cost_usd_micros", "cost", record.cost_source, record.cost_usd_micros or 0),
        )
        for figure, name, source, amount in figures:
            group[f"{figure}_reported"] += amount if source == "provider_reported" else 0
            group[f"{figure}_derived"] += amount if source == "derived" else 0
            group[f"{name}_missing_count"] += source == "missing"
    return {key: UsageTotals(*(group[name] for name in UsageTotals._fields)) for key, group in sums.items()}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(usage=st.lists(records(), max_size=12), bounds=st.lists(MOMENTS, min_size=2, max_size=2))
async def test_any_window_by_any_keys_is_the_sum_of_its_records(
    database: Database, usage: list[UsageRecord], bounds: list[int]
) -> None:
    since, until = sorted(bounds)
    inside = [record for record in usage if since <= record.at < until]

    def example(uow: UnitOfWork) -> None:
        store(uow, usage)
        for keys in GROUPS:
            window = cut(since, until, by_hour="hour" in keys)
            assert uow.analytics.usage(window, keys, UsageFilter()) == summed(inside, keys), keys
        named = [record for record in inside if (record.agent, record.model) == ("a", "n")]
        assert uow.analytics.usage(cut(since, until), ("day",), UsageFilter("a", "n")) == summed(named, ("day",))
        raise Undo

    with pytest.raises(Undo):
        await database.write(example)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(usage=st.lists(records(), max_size=12), bounds=st.lists(MOMENTS, min_size=2, max_size=2))
async def test_runtimes_of_any_window_are_those_of_its_records(
    database: Database, usage: list[UsageRecord], bounds: list[int]
) -> None:
    since, until = sorted(bounds)
    expected: Counter[tuple[str | int, ...]] = Counter()
    for record in usage:
        if since <= record.at < until and record.runtime_ms is not None:
            expected[record.model, bucket_of(record.runtime_ms)] += 1

    def example(uow: UnitOfWork) -> None:
        store(uow, usage)
        found = uow.analytics.runtimes(cut_days(since, until), ("model",), UsageFilter())
        known = {(*key, bucket): count for key, counts in found.items() for bucket, count in counts.items()}
        assert {key: count for key, count in known.items() if count and key[-1] != NO_RUNTIME} == expected
        raise Undo

    with pytest.raises(Undo):
        await database.write(example)


async def test_sums_beyond_64_bits_stay_at_the_largest(database: Database) -> None:
    most = 2**53 - 1

    def example(uow: UnitOfWork) -> UsageTotals:
        for day in range(2):
            changes = fold([record_at(day * DAY_MICROS, most)], [])
            uow.usage.add_to_days([total._replace(input_tokens=MAX_TOTAL) for total in changes.days])
        return uow.analytics.usage(cut(0, 2 * DAY_MICROS), ("agent",), UsageFilter())["a",]

    totals = await database.write(example)

    assert (totals.input_tokens, totals.output_tokens, totals.requests) == (MAX_TOTAL, 2 * most, 2)


def record_at(at: int, tokens: int = 1) -> UsageRecord:
    sources = ("provider_reported", "high") * 3
    prices = (None, None, None, None, None)
    return UsageRecord("m", "s", "a", "m", at, "ok", tokens, tokens, 1, 1, *prices, *sources, "t", "p", 1)


ASKED: dict[str, tuple[Window, tuple[str, ...], UsageFilter]] = {
    "a month by day": (cut(5, 30 * DAY_MICROS + 5), ("day",), UsageFilter()),
    "a month by agent and model": (cut(5, 30 * DAY_MICROS + 5), ("agent", "model"), UsageFilter()),
    "a month of an agent": (cut(5, 30 * DAY_MICROS + 5), ("day",), UsageFilter(agent="a-1")),
    "a month of a model": (cut(5, 30 * DAY_MICROS + 5), ("agent",), UsageFilter(model="m-1")),
    "a day by hour": (cut(5, DAY_MICROS + 5, by_hour=True), ("hour",), UsageFilter()),
    "some minutes": (cut(5, 600_000_000), ("model",), UsageFilter("a-1", "m-1")),
}


@pytest.fixture(scope="module")
def many_records() -> list[UsageRecord]:
    return [
        record_at(number * DAY_MICROS // 100)._replace(agent=f"a-{number % 7}", model=f"m-{number % 5}")
        for number in range(3_000)
    ]


@pytest.mark.parametrize(("window", "keys", "wanted"), ASKED.values(), ids=ASKED.keys())
async def test_no_question_reads_a_table_from_end_to_end(
    database: Database, many_records: list[UsageRecord], window: Window, keys: tuple[str, ...], wanted: UsageFilter
) -> None:
    await database.write(lambda uow: store(uow, many_records))
    if database.dialect == "postgresql":
        await database.write(lambda uow: uow.connection.exec_driver_sql("ANALYZE"))

    def plans(uow: UnitOfWork) -> str:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # read whole only what has no index
        asked: list[Callable[[UnitOfWork], object]] = [lambda uow: uow.analytics.usage(window, keys, wanted)]
        if "hour" not in keys:
            days = cut_days(5, 30 * DAY_MICROS + 5)
            asked.append(lambda uow: uow.analytics.runtimes(days, keys, wanted))
        return "\n".join(plan for ask in asked for plan in statements.plans(uow, ask))

    text = await database.write(plans)

    assert "Seq Scan" not in text, text
    scanned = [line for line in text.splitlines() if line.startswith("SCAN ") and "answer" not in line]
    assert scanned == [], text
    assert "session_usage" not in text or "ix_session_usage_at" in text, text


@given(st.integers(-3 * DAY_MICROS, 3 * DAY_MICROS), st.integers(0, 4 * DAY_MICROS))
def test_a_window_of_days_reads_each_instant_once_and_half_a_day_of_records_at_each_end(
    since: int, length: int
) -> None:
    until = since + length
    window = cut_days(since, until)

    def size(stretches: Sequence[Stretch]) -> int:
        return sum(each.until - each.since for each in stretches)

    days = size(window.days) * DAY_MICROS
    assert days + size(window.added) - size(window.taken_off) == length
    assert size(window.added) + size(window.taken_off) <= DAY_MICROS
    for stretch in window.added:
        assert since <= stretch.since < stretch.until <= until
    for stretch in window.taken_off:
        assert stretch.until <= since or stretch.since >= until
