"""What was stored before hours were summed up and sessions told their provenance is summed up by the migration."""

from sqlalchemy import insert

from domain.ledger.changes import SessionChange
from domain.ledger.consistency import corrections
from domain.ledger.ledger import fold
from domain.ledger.usage import UsageRecord
from storage.engine import migration
from storage.ledger.aggregates import Aggregate
from storage.tables.sessions import session_ledger
from storage.tables.usage import daily_usage_agg, session_usage
from storage.unit_of_work import UnitOfWork
from tests.support import databases

BEFORE = "0007"
HOUR = 3_600_000_000
SESSION_COLUMNS = SessionChange._fields[:14]


def record(number: int, at: int, tokens: str, cost: str, *, status: str = "ok") -> UsageRecord:
    known = tokens != "missing"
    return UsageRecord(
        message_id=f"m{number}",
        session_id=f"s-{number % 2}",
        agent=f"a-{number % 3}",
        model="m",
        at=at,
        status=status,
        input_tokens=10 * number if known else None,
        output_tokens=number if known else None,
        runtime_ms=100 if number % 2 else None,
        cost_usd_micros=None if cost == "missing" else 1_000 + number,
        computed_cost_usd_micros=None,
        pricing_version=None,
        input_price_usd_micros_per_mtok=None,
        output_price_usd_micros_per_mtok=None,
        computed_pricing_version=None,
        tokens_source=tokens,
        tokens_confidence="high",
        runtime_source="derived" if number % 2 else "missing",
        runtime_confidence="low",
        cost_source=cost,
        cost_confidence="medium",
        trace_id="t",
        producer="p",
        created_at=1,
    )


RECORDS = [
    record(1, 5 * HOUR, "provider_reported", "provider_reported"),
    record(2, 5 * HOUR + 1, "derived", "derived", status="error"),
    record(3, 5 * HOUR - 1, "missing", "missing"),
    record(4, 30 * HOUR, "provider_reported", "missing"),
    record(5, -1, "derived", "derived"),
]


def store_as_before(uow: UnitOfWork) -> None:
    changes = fold(RECORDS, [])
    uow.connection.execute(insert(session_usage), [each._asdict() for each in RECORDS])
    uow.connection.execute(insert(daily_usage_agg), [each._asdict() for each in changes.days])
    sessions = [{name: getattr(each, name) for name in SESSION_COLUMNS} for each in changes.sessions]
    uow.connection.execute(insert(session_ledger), sessions)


def wrong(uow: UnitOfWork) -> dict[str, int]:
    found = {}
    for day in (-1, 0, 1):
        expected, stored = uow.aggregates.expected_of_day(day), uow.aggregates.stored_of_day(day)
        for aggregate in (Aggregate.HOURS, Aggregate.DAYS):
            found[f"{aggregate.name} {day}"] = len(corrections(expected[aggregate], stored[aggregate]))
    ids = ["s-0", "s-1"]
    sessions = corrections(uow.aggregates.expected_of_sessions(ids), uow.aggregates.stored_of_sessions(ids))
    return {name: count for name, count in {**found, "SESSIONS": len(sessions)}.items() if count}


async def test_hours_and_provenance_of_what_is_stored_already_are_made_up_for(empty_url: str) -> None:
    await migration.upgrade(empty_url, BEFORE)
    async with databases.opened(empty_url) as database:
        await database.write(store_as_before)
    await migration.upgrade(empty_url)
    async with databases.opened(empty_url) as database:
        hours = await database.read(lambda uow: uow.usage.hours())
        assert await database.read(wrong) == {}

    assert sorted(hour for hour, _, _ in hours) == [-1, 4, 5, 5, 30]
