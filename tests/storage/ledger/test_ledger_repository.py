"""What stands in the ledger and in the totals is the fold of all that came, however it was cut into batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from contracts.payloads.ingest.session import SessionEventType, Source, UsageStatus
from contracts.values.states import SessionStatus
from domain.ledger.changes import DailyTotals, LedgerChanges, PerformanceCount, SessionChange
from domain.ledger.ledger import fold
from domain.ledger.usage import UsageRecord
from storage.engine.database import Database
from storage.ledger.ledger import SessionEvent
from storage.tables.sessions import session_ledger
from storage.tables.usage import model_perf_agg, session_usage
from storage.unit_of_work import UnitOfWork
from tests.domain.ledger.merging import merge_sessions

# Words whose order by code point differs from that of a language.
WORDS = st.sampled_from(["a", "B", "b", "Z", "é", "_", "\U0001f600", "\uff5e"])
TIMES = st.sampled_from([-5, 0, 1, 2, 86_400_000_000, 2**53])
COUNTS = st.integers(0, 2**40)


class Undo(Exception):
    """Ends an example without a trace."""


@st.composite
def session_changes(draw: st.DrawFn) -> SessionChange:
    model = draw(st.none() | WORDS)
    status_at = draw(st.none() | TIMES)
    first, second = sorted((draw(TIMES), draw(TIMES)))
    return SessionChange(
        session_id="s",
        agent=draw(WORDS),
        model=model,
        model_at=None if model is None else draw(TIMES),
        status=SessionStatus.RUNNING if status_at is None else draw(st.sampled_from(SessionStatus)),
        status_at=status_at,
        started_at=first,
        last_at=second,
        events=draw(COUNTS),
        requests=draw(COUNTS),
        errors=draw(COUNTS),
        input_tokens=draw(COUNTS),
        output_tokens=draw(COUNTS),
        cost_usd_micros=draw(COUNTS),
        tokens_derived=draw(COUNTS),
        tokens_missing_count=draw(COUNTS),
        cost_usd_micros_derived=draw(COUNTS),
        cost_missing_count=draw(COUNTS),
    )


def stored_sessions(uow: UnitOfWork) -> dict[str, SessionChange]:
    columns = [session_ledger.c[name] for name in SessionChange._fields]
    return {row.session_id: SessionChange(*row) for row in uow.connection.execute(select(*columns))}


def stored_performance(uow: UnitOfWork) -> list[PerformanceCount]:
    columns = [model_perf_agg.c[name] for name in PerformanceCount._fields]
    return sorted(PerformanceCount(*row) for row in uow.connection.execute(select(*columns)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(session_changes(), min_size=1, max_size=4))
async def test_the_stored_row_takes_in_a_change_as_merging_does(
    database: Database, changes: list[SessionChange]
) -> None:
    def example(uow: UnitOfWork) -> None:
        for change in changes:
            uow.ledger.apply([change])
        assert stored_sessions(uow) == {"s": reduce(merge_sessions, changes)}
        raise Undo

    with pytest.raises(Undo):
        await database.write(example)


@dataclass(frozen=True, slots=True)
class Event:
    session_id: str
    agent: str
    type: str
    at: int
    model: str | None


SESSIONS = st.sampled_from(["s1", "s2", "S1"])
EVENTS = st.builds(
    Event, SESSIONS, WORDS, st.sampled_from([str(kind) for kind in SessionEventType]), TIMES, st.none() | WORDS
)
FIGURE = st.none() | st.integers(0, 10**6)


@st.composite
def usage_records(draw: st.DrawFn) -> UsageRecord:
    sources = st.sampled_from([str(source) for source in Source])
    return UsageRecord(
        message_id="m",
        session_id=draw(SESSIONS),
        agent=draw(WORDS),
        model=draw(WORDS),
        at=draw(TIMES),
        status=draw(st.sampled_from([str(status) for status in UsageStatus])),
        input_tokens=draw(FIGURE),
        output_tokens=draw(FIGURE),
        runtime_ms=draw(FIGURE),
        cost_usd_micros=draw(FIGURE),
        computed_cost_usd_micros=draw(FIGURE),
        pricing_version=draw(st.none() | WORDS),
        input_price_usd_micros_per_mtok=draw(FIGURE),
        output_price_usd_micros_per_mtok=draw(FIGURE),
        computed_pricing_version=draw(st.none() | WORDS),
        tokens_source=draw(sources),
        tokens_confidence="high",
        runtime_source=draw(sources),
        runtime_confidence="low",
        cost_source=draw(sources),
        cost_confidence="medium",
        trace_id="t",
        producer="p",
        created_at=1,
    )


@st.composite
def batches(draw: st.DrawFn) -> list[list[UsageRecord | Event]]:
    """Any messages, cut into any batches; usage comes first within a batch, as it is folded."""
    parts = draw(st.lists(st.lists(usage_records() | EVENTS, max_size=5), min_size=1, max_size=4))
    return [sorted(part, key=lambda each: isinstance(each, Event)) for part in parts]


def folded(messages: Iterable[UsageRecord | Event]) -> LedgerChanges:
    listed = list(messages)
    return fold(
        [each for each in listed if isinstance(each, UsageRecord)], [each for each in listed if isinstance(each, Event)]
    )


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=batches())
async def test_batches_come_to_the_same_however_they_were_cut(
    database: Database, parts: list[list[UsageRecord | Event]]
) -> None:
    def example(uow: UnitOfWork) -> None:
        for part in parts:
            changes = folded(part)
            uow.ledger.apply(changes.sessions)
            uow.usage.add_to_hours(changes.hours)
            uow.usage.add_to_days(changes.days)
            uow.performance.add(changes.performance)
        whole = folded(message for part in parts for message in part)
        assert stored_sessions(uow) == {change.session_id: change for change in whole.sessions}
        assert uow.usage.hours() == {(total.hour, total.agent, total.model): total for total in whole.hours}
        assert uow.usage.days() == {(total.day, total.agent, total.model): total for total in whole.days}
        assert stored_performance(uow) == sorted(whole.performance)
        raise Undo

    with pytest.raises(Undo):
        await database.write(example)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(usage_records(), max_size=4))
async def test_usage_is_kept_as_it_came(database: Database, records: list[UsageRecord]) -> None:
    def example(uow: UnitOfWork) -> None:
        uow.usage.add(records)
        columns = [session_usage.c[name] for name in UsageRecord._fields]
        rows = uow.connection.execute(select(*columns).order_by(session_usage.c.usage_id))
        assert [UsageRecord(*row) for row in rows] == records
        raise Undo

    with pytest.raises(Undo):
        await database.write(example)


def totals(day: str, agent: str, requests: int) -> DailyTotals:
    return DailyTotals(day, agent, "m", requests, *([1] * (len(DailyTotals._fields) - 4)))


async def test_days_agents_and_models_are_apart(database: Database) -> None:
    given_totals = [totals("2026-11-19", "a", 1), totals("2026-11-20", "a", 2), totals("2026-11-20", "b", 3)]

    await database.write(lambda uow: uow.usage.add_to_days(given_totals))
    await database.write(lambda uow: uow.usage.add_to_days(given_totals[:1]))

    days = await database.read(lambda uow: uow.usage.days())
    assert {key: total.requests for key, total in days.items()} == {
        ("2026-11-19", "a", "m"): 2,
        ("2026-11-20", "a", "m"): 2,
        ("2026-11-20", "b", "m"): 3,
    }


def event(
    number: int, *, session_id: str = "s", at: int = 1, text: str | None = None, data: str | None = None
) -> SessionEvent:
    return SessionEvent(f"m{number}", session_id, "a", "message", at, None, text, data, "t", "p", 1)


async def add(database: Database, events: Sequence[SessionEvent]) -> None:
    await database.write(lambda uow: uow.ledger.add_events(events))


async def test_the_newest_events_come_first_and_of_equals_the_later_arrival(database: Database) -> None:
    events = [event(1, at=5), event(2, at=9), event(3, at=5), event(4, at=1), event(5, session_id="other", at=99)]
    await add(database, events)

    newest = await database.read(lambda uow: uow.ledger.newest_events("s", limit=3))

    assert [each.message_id for each in newest] == ["m2", "m3", "m1"]
    assert newest[0] == events[1]


@pytest.mark.parametrize(
    "text", ["", "plain", "a\0b", "\0", "\x1a", "\x1a\x01 \x1a\x02", "\x1a\x1a\0\x01", "\U0001f600"]
)
async def test_text_comes_back_as_it_was_also_with_u0000(database: Database, text: str) -> None:
    sent = event(1, text=text, data='{"a":"\\u0000"}')
    await add(database, [sent])

    assert await database.read(lambda uow: uow.ledger.newest_events("s", limit=1)) == [sent]


async def test_a_session_can_be_asked_for_by_its_id(database: Database) -> None:
    change = SessionChange("s", "a", "m", 1, SessionStatus.KILLED, 2, 1, 2, 3, 4, 5, 6, 7, 8)
    await database.write(lambda uow: uow.ledger.apply([change]))

    session = await database.read(lambda uow: uow.ledger.get("s"))

    assert session is not None
    assert (session.status, session.started_at, session.last_at, session.cost_usd_micros) == ("killed", 1, 2, 8)
    assert await database.read(lambda uow: uow.ledger.get("absent")) is None
