"""What a group of records and events changes, however it is cut up and in whatever order it came."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.values.states import SessionStatus
from domain.ledger.changes import DailyTotals, HourlyTotals, LedgerChanges, PerformanceCount, SessionChange
from domain.ledger.ledger import HOUR_MICROS, fold
from domain.ledger.percentiles import NO_RUNTIME, bucket_of
from domain.ledger.pricing import UnitPrices
from domain.ledger.usage import UsageRecord, decide_usage
from tests.domain.ledger.merging import merge_sessions
from tests.domain.ledger.usage_facts import Book, Event, Figure, Provenance, Usage

NOON = 1_763_726_400_000_000  # 2025-11-21T12:00:00Z
DAY = 86_400_000_000
BOOK = Book({"known": UnitPrices(2_500_000, 10_000_000, "list-1")})


def record(usage: Usage) -> UsageRecord:
    return decide_usage(usage, BOOK, "m", "trace", NOON, "planner-7")


def only_session(usage: Iterable[Usage] = (), events: Iterable[Event] = ()) -> SessionChange:
    (session,) = fold([record(each) for each in usage], events).sessions
    return session


def test_a_session_adds_up_what_it_used() -> None:
    session = only_session([Usage(at=NOON), Usage(at=NOON + 5, status="error", model="unheard-of", input_tokens=7)])
    assert session == SessionChange(
        "s-1",
        "planner",
        "unheard-of",
        NOON + 5,
        SessionStatus.RUNNING,
        None,
        NOON,
        NOON + 5,
        0,
        2,
        1,
        1_007,
        1_000,
        7_500,
        cost_usd_micros_derived=7_500,
        cost_missing_count=1,
    )


def test_a_session_known_from_usage_alone_runs_and_any_event_knows_better() -> None:
    assert only_session([Usage(at=NOON)]).status == "running"
    assert only_session([Usage(at=NOON)]).status_at is None
    assert only_session([Usage(at=NOON)], [Event(type="completed", at=NOON - DAY)]).status == "completed"


@pytest.mark.parametrize(
    ("type_", "status"),
    [
        ("started", "running"),
        ("heartbeat", "running"),
        ("message", "running"),
        ("tool_call", "running"),
        ("completed", "completed"),
        ("failed", "failed"),
        ("killed", "killed"),
    ],
)
def test_each_type_of_event_has_its_status(type_: str, status: str) -> None:
    assert only_session(events=[Event(type=type_)]).status == status


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([("started", 1), ("completed", 2)], "completed"),
        ([("completed", 2), ("started", 1)], "completed"),
        ([("completed", 1), ("started", 2)], "running"),
        ([("completed", 1), ("heartbeat", 1)], "completed"),
        ([("heartbeat", 1), ("completed", 1)], "completed"),
        ([("completed", 1), ("killed", 1)], "killed"),
        ([("killed", 1), ("completed", 1)], "completed"),
    ],
)
def test_the_newest_event_decides_then_a_terminal_one_then_the_later_arrival(
    events: list[tuple[str, int]], status: str
) -> None:
    told = [Event(type=type_, at=NOON + at) for type_, at in events]
    assert only_session(events=told).status == status
    merged = [only_session(events=[event]) for event in told]
    assert merge_sessions(*merged).status == status


def test_the_model_is_the_newest_that_was_named() -> None:
    session = only_session([Usage(at=NOON, model="known")], [Event(at=NOON + 9), Event(at=NOON - 1, model="older")])
    assert (session.model, session.model_at) == ("known", NOON)
    assert (session.started_at, session.last_at, session.events) == (NOON - 1, NOON + 9, 2)


def test_a_day_splits_each_figure_by_where_it_comes_from() -> None:
    missing = Figure("missing", "unknown")
    derived = Figure("derived", "medium")
    reported = Figure("provider_reported", "high")
    usage = [
        Usage(at=NOON, runtime_ms=100),
        Usage(at=NOON, runtime_ms=30, provenance=Provenance(tokens=derived, runtime=derived)),
        Usage(at=NOON, cost_usd_micros=40, pricing_version="v", provenance=Provenance(cost=reported), status="error"),
        Usage(
            at=NOON,
            input_tokens=None,
            output_tokens=None,
            runtime_ms=None,
            provenance=Provenance(tokens=missing, runtime=missing),
        ),
    ]
    (day,) = fold(map(record, usage), []).days
    assert day._asdict() == {
        "day": "2025-11-21",
        "agent": "planner",
        "model": "known",
        "requests": 4,
        "errors": 1,
        "input_tokens": 3_000,
        "output_tokens": 1_500,
        "runtime_ms": 1_330,
        "cost_usd_micros": 15_040,
        "tokens_reported": 3_000,
        "tokens_derived": 1_500,
        "tokens_missing_count": 1,
        "runtime_ms_reported": 1_300,
        "runtime_ms_derived": 30,
        "runtime_missing_count": 1,
        "cost_usd_micros_reported": 40,
        "cost_usd_micros_derived": 15_000,
        "cost_missing_count": 1,
        "unpriced": 0,
    }


def test_a_session_and_an_hour_tell_the_same_provenance_as_the_day() -> None:
    missing, derived = Figure("missing", "unknown"), Figure("derived", "medium")
    usage = [
        Usage(at=NOON, provenance=Provenance(tokens=derived)),
        Usage(at=NOON, input_tokens=None, output_tokens=None, provenance=Provenance(tokens=missing)),
    ]
    changes = fold(map(record, usage), [])

    (session,), (hour,), (day,) = changes.sessions, changes.hours, changes.days
    assert (session.tokens_derived, session.tokens_missing_count) == (1_500, 1)
    assert (session.cost_usd_micros_derived, session.cost_missing_count) == (session.cost_usd_micros, 1)
    assert hour[3:] == day[3:]
    assert hour.hour == NOON // HOUR_MICROS


def test_a_request_without_a_known_price_is_counted_as_unpriced() -> None:
    (day,) = fold([record(Usage(model="unheard-of"))], []).days
    assert (day.cost_usd_micros, day.cost_missing_count, day.unpriced) == (0, 1, 1)


def test_days_begin_at_midnight_utc_also_before_the_epoch() -> None:
    midnight = NOON - DAY // 2
    changes = fold(map(record, [Usage(at=midnight - 1), Usage(at=midnight), Usage(at=-1)]), [])
    assert [day.day for day in changes.days] == ["1969-12-31", "2025-11-20", "2025-11-21"]


def test_runtimes_are_counted_by_class_and_a_missing_one_has_its_own() -> None:
    missing = Provenance(runtime=Figure("missing", "unknown"))
    usage = [Usage(runtime_ms=10), Usage(runtime_ms=10, status="error"), Usage(runtime_ms=None, provenance=missing)]
    day = "2025-11-21"
    assert fold(map(record, usage), []).performance == (
        PerformanceCount(day, "planner", "known", NO_RUNTIME, 1, 0),
        PerformanceCount(day, "planner", "known", bucket_of(10), 2, 1),
    )


AT = st.integers(NOON - 3 * DAY, NOON + 3 * DAY)
SESSION = st.sampled_from(["s-1", "s-2", "s-3"])
AGENT = st.sampled_from(["planner", "writer"])
FIGURE = st.sampled_from([Figure(), Figure("derived", "medium")])
COUNT = st.integers(0, 10**6)
USAGE = st.builds(
    Usage,
    session_id=SESSION,
    agent=AGENT,
    model=st.sampled_from(["known", "unheard-of"]),
    at=AT,
    status=st.sampled_from(["ok", "error"]),
    input_tokens=COUNT,
    output_tokens=COUNT,
    runtime_ms=st.none() | COUNT,
    provenance=st.builds(Provenance, tokens=FIGURE, runtime=FIGURE),
)
EVENT = st.builds(
    Event,
    session_id=SESSION,
    agent=AGENT,
    type=st.sampled_from(["started", "heartbeat", "completed", "failed", "killed"]),
    at=AT,
    model=st.sampled_from([None, "known", "other"]),
)
EVENTS = st.lists(EVENT, max_size=12, unique_by=lambda event: event.at)


def merged(parts: Sequence[LedgerChanges]) -> LedgerChanges:
    """The parts as the tables take them in: sums by key, sessions by their rule."""
    sessions: dict[str, SessionChange] = {}
    hours: dict[tuple[int, str, str], HourlyTotals] = {}
    days: dict[tuple[str, str, str], DailyTotals] = {}
    performance: dict[tuple[str, str, str, int], PerformanceCount] = {}
    for part in parts:
        for session in part.sessions:
            known = sessions.get(session.session_id)
            sessions[session.session_id] = session if known is None else merge_sessions(known, session)
        for hour in part.hours:
            so_far = hours.get(hour[:3])
            hours[hour[:3]] = (
                hour if so_far is None else HourlyTotals(*hour[:3], *map(sum, zip(so_far[3:], hour[3:], strict=True)))
            )
        for day in part.days:
            before = days.get(day[:3])
            days[day[:3]] = (
                day if before is None else DailyTotals(*day[:3], *map(sum, zip(before[3:], day[3:], strict=True)))
            )
        for count in part.performance:
            earlier = performance.get(count[:4])
            requests, errors = (0, 0) if earlier is None else earlier[4:]
            performance[count[:4]] = PerformanceCount(*count[:4], requests + count.requests, errors + count.errors)
    return LedgerChanges(
        tuple(sessions[key] for key in sorted(sessions)),
        tuple(hours[key] for key in sorted(hours)),
        tuple(days[key] for key in sorted(days)),
        tuple(performance[key] for key in sorted(performance)),
    )


@given(st.lists(USAGE, max_size=12), EVENTS, st.data())
def test_any_partition_in_any_order_comes_to_the_same(
    usage: list[Usage], events: list[Event], data: st.DataObject
) -> None:
    records = list(map(record, usage))
    whole = fold(records, events)
    shuffled = data.draw(st.permutations([*records, *events]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    parts = [shuffled[start:end] for start, end in pairwise([0, *cuts, len(shuffled)])]
    folded = [
        fold(
            [each for each in part if isinstance(each, UsageRecord)], [each for each in part if isinstance(each, Event)]
        )
        for part in parts
    ]
    assert merged(folded) == whole
    assert merged(folded[::-1]) == whole


@given(st.lists(USAGE, max_size=20))
def test_days_and_classes_and_sessions_count_the_same_requests(usage: list[Usage]) -> None:
    changes = fold(map(record, usage), [])
    assert sum(day.requests for day in changes.days) == len(usage)
    assert sum(count.requests for count in changes.performance) == len(usage)
    assert sum(session.requests for session in changes.sessions) == len(usage)
    assert sum(count.errors for count in changes.performance) == sum(day.errors for day in changes.days)
    assert sum(session.cost_usd_micros for session in changes.sessions) == sum(
        day.cost_usd_micros for day in changes.days
    )
