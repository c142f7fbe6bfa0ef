"""Totals that drifted from their records are found and corrected, also while more comes in between."""

import pytest_asyncio
from sqlalchemy import delete, insert, update

from domain.ledger.changes import DailyTotals
from domain.ledger.consistency import MAX_TOTAL, corrections
from handlers.ledger.aggregates import AggregateScope, Comparison, compare_next_day, compare_next_sessions, correct
from storage.engine.database import Database
from storage.ledger.aggregates import Aggregate
from storage.tables.sessions import session_ledger
from storage.tables.usage import daily_usage_agg, hourly_usage_agg, model_perf_agg, session_usage
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope, event, event_envelope, usage, without
from tests.handlers.deciding import Stream, outcomes
from tests.support import statements

MISSING = {"source": "missing", "confidence": "unknown"}


def unknown(**changes: Json) -> Json:
    """A request of which nothing is known but that it was."""
    provenance = dict.fromkeys(("tokens", "runtime", "cost"), MISSING)
    known = ("cost_usd", "pricing_version", "input_tokens", "output_tokens", "runtime_ms")
    return without(usage(provenance=provenance, **changes), *known)


BODIES = [
    *(usage(session_id=f"s-{n % 3}", at=f"2026-11-{18 + n % 3}T{n:02d}:30:00Z", agent=f"a-{n % 2}") for n in range(12)),
    unknown(session_id="s-0", at="2026-11-20T23:59:59.999999Z"),
    usage(session_id="s-1", at="2026-11-19T00:00:00Z", status="error"),
    usage(session_id="old", at="1969-12-31T23:00:00Z"),
]


async def send(database: Database, bodies: list[Json], name: str = "HG_INGEST") -> None:
    stream = Stream(name=name)
    batch = [stream.deliver(envelope(body, message_id=f"{name}:{number}")) for number, body in enumerate(bodies)]
    assert {outcome.status for outcome in await outcomes(database, batch)} == {201}


@pytest_asyncio.fixture
async def filled(database: Database) -> Database:
    await send(database, BODIES)
    said = event_envelope(event(session_id="s-2", at="2026-11-20T10:00:00Z"))
    await outcomes(database, [Stream(name="HG_EVENTS").deliver(said, "session.event")])
    return database


def compare(uow: UnitOfWork, scope: AggregateScope) -> list[Comparison]:
    """Every part, one after the other."""
    parts: list[Comparison] = []
    part = compare_next_day(scope, None, uow)
    while isinstance(part.mark, int):
        parts.append(part)
        part = compare_next_day(scope, part.mark, uow)
    part = compare_next_sessions(scope, None, uow)
    while isinstance(part.mark, str):
        parts.append(part)
        part = compare_next_sessions(scope, part.mark, uow)
    return parts


async def wrong(database: Database, scope: AggregateScope | None = None) -> dict[Aggregate, int]:
    parts = await database.read(lambda uow: compare(uow, scope or AggregateScope()))
    found = [(aggregate, len(rows)) for part in parts for aggregate, rows in part.wrong.items()]
    return {aggregate: sum(count for each, count in found if each is aggregate) for aggregate, _ in found}


async def mend(database: Database) -> None:
    for part in await database.read(lambda uow: compare(uow, AggregateScope())):
        await database.write(lambda uow, part=part: correct(part.wrong, uow))  # type: ignore[misc]  # mypy infers no lambda with defaults


async def test_what_intake_sums_up_agrees_with_its_records(filled: Database) -> None:
    parts = await filled.read(lambda uow: compare(uow, AggregateScope()))

    assert await wrong(filled) == {}
    assert sum(part.compared for part in parts) == 4 + 4


def spoil(uow: UnitOfWork) -> None:
    connection = uow.connection
    connection.execute(update(hourly_usage_agg).values(requests=hourly_usage_agg.c.requests + 5))
    connection.execute(delete(daily_usage_agg).where(daily_usage_agg.c.day == "2026-11-19"))
    connection.execute(update(model_perf_agg).where(model_perf_agg.c.bucket < 0).values(errors=7))
    connection.execute(
        update(session_ledger).where(session_ledger.c.session_id == "s-1").values(input_tokens=1, events=9)
    )
    connection.execute(
        insert(daily_usage_agg).values(
            day="2026-11-01", agent="ghost", model="m", **dict.fromkeys(DailyTotals._fields[3:], 3)
        )
    )


async def test_what_drifted_is_found_and_corrected(filled: Database) -> None:
    await filled.write(spoil)
    found = await wrong(filled)

    await mend(filled)

    assert found.keys() == set(Aggregate)
    assert found[Aggregate.SESSIONS] == 1
    assert await wrong(filled) == {}
    days = await filled.read(lambda uow: uow.usage.days())
    assert "ghost" not in {agent for _, agent, _ in days}


async def test_a_correction_stays_right_however_much_comes_before_it_is_applied(filled: Database) -> None:
    await filled.write(spoil)
    parts = await filled.read(lambda uow: compare(uow, AggregateScope()))

    await send(filled, [usage(session_id="s-1", at="2026-11-19T01:00:00Z"), *BODIES], name="HG_MEANWHILE")
    for part in parts:
        await filled.write(lambda uow, part=part: correct(part.wrong, uow))  # type: ignore[misc]  # mypy infers no lambda with defaults

    assert await wrong(filled) == {}


OLD = AggregateScope(complete_since=20_778)
"""Of the days up to 2026-11-20 some records may have gone by their age."""


async def test_what_lacks_records_by_their_age_is_left_alone_and_what_has_them_is_not(filled: Database) -> None:
    gone = session_usage.c.at < 1_795_046_400_000_000  # 2026-11-19
    await filled.write(lambda uow: uow.connection.execute(delete(session_usage).where(gone)))
    assert await wrong(filled) != {}
    assert await wrong(filled, OLD) == {}

    await filled.write(lambda uow: uow.connection.execute(update(daily_usage_agg).values(output_tokens=1)))
    found = await wrong(filled, OLD)

    assert found == {Aggregate.DAYS: 2 * 3}, "three agents on each of the two days that have all of their records"


def test_the_scope_is_bounded_by_what_is_asked_and_knows_what_retention_touches() -> None:
    now = 20_000 * 86_400_000_000 + 5
    assert AggregateScope.of_retention(now, (0, 0)) == AggregateScope()
    assert AggregateScope.of_retention(now, (30, 10)).complete_since == 20_000 - 10 + 2
    asked = AggregateScope(10, 20, 15).within(12 * 86_400_000_000 + 5, 14 * 86_400_000_000 + 1)
    assert asked == AggregateScope(12, 15, 15)


def test_a_total_that_can_grow_no_more_is_right() -> None:
    assert corrections({("a",): (MAX_TOTAL + 9, 1)}, {("a",): (MAX_TOTAL, 1)}) == {}
    assert corrections({("a",): (5, 1)}, {("a",): (3, 2)}) == {("a",): (2, -1)}
    assert corrections({}, {("a",): (3,)}) == {("a",): (-3,)}


async def test_comparing_reads_no_table_of_records_from_end_to_end(filled: Database) -> None:
    def plans(uow: UnitOfWork) -> str:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # read whole only what has no index
        asked = statements.plans(uow, lambda uow: compare(uow, AggregateScope(since=20_777)))
        return "\n".join(asked)

    text = await filled.write(plans)

    assert "Seq Scan on session_usage" not in text
    assert "SCAN session_usage\n" not in text
