"""Totals beside the records that they sum up: read together, in parts of bounded size, and corrected."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, Protocol

from sqlalchemy import (
    Connection,
    Delete,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)

from contracts.payloads.ingest.session import UsageStatus
from contracts.values.times import MICROS_PER_DAY, day_number, day_text
from domain.ledger.changes import DailyTotals, PerformanceCount
from domain.ledger.consistency import Figures, Key, Totals
from domain.ledger.ledger import HOURS_PER_DAY
from domain.ledger.percentiles import NO_RUNTIME, bucket_of
from storage.engine.answers import Answer, ColumnarAnswer
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.ledger.analytics_statements import record_sums, whole_of_halves
from storage.tables.sessions import session_events, session_ledger
from storage.tables.usage import daily_usage_agg, hourly_usage_agg, model_perf_agg, session_usage

_ROWS: Final = 20_000
"""Records that are read at once."""


@dataclass(frozen=True, slots=True)
class _Kept:
    table: Table
    keys: tuple[str, ...]
    sums: tuple[str, ...]


_FIGURES: Final = DailyTotals._fields[3:]
_SESSION_SUMS: Final = (
    *("events", "requests", "errors", "input_tokens", "output_tokens", "cost_usd_micros"),
    *("tokens_derived", "tokens_missing_count", "cost_usd_micros_derived", "cost_missing_count"),
)


class Aggregate(Enum):
    """A table of totals."""

    HOURS = _Kept(hourly_usage_agg, ("hour", "agent", "model"), _FIGURES)
    DAYS = _Kept(daily_usage_agg, ("day", "agent", "model"), _FIGURES)
    PERFORMANCE = _Kept(model_perf_agg, ("day", "agent", "model", "bucket"), PerformanceCount._fields[4:])
    SESSIONS = _Kept(session_ledger, ("session_id",), _SESSION_SUMS)

    @property
    def table_name(self) -> str:
        return str(self.value.table.name)


class AggregateRepository(Protocol):
    """Totals and their records."""

    def day_before(self, day: int) -> int | None:
        """The newest day (counted from the epoch) before *day* that has records or totals."""
        ...

    def sessions_after(self, session_id: str, *, since: int, until: int, limit: int) -> Sequence[tuple[str, int]]:
        """The next sessions by id that started at *since* or later, and before *until*; each with its start."""
        ...

    def expected_of_day(self, day: int) -> dict[Aggregate, Totals]:
        """What the records of a day sum up to."""
        ...

    def stored_of_day(self, day: int) -> dict[Aggregate, Totals]: ...

    def expected_of_sessions(self, session_ids: Sequence[str]) -> Totals: ...

    def stored_of_sessions(self, session_ids: Sequence[str]) -> Totals: ...

    def correct(self, aggregate: Aggregate, corrections: dict[Key, Figures]) -> None:
        """Add *corrections*, and forget totals that are of nothing then."""
        ...


class SqlAggregateRepository:
    """``session_usage`` and all that is summed up from it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def day_before(self, day: int) -> int | None:
        record = self._connection.execute(_NEWEST_RECORD, {"at": day * MICROS_PER_DAY}).scalar_one()
        hour = self._connection.execute(_NEWEST_HOUR, {"hour": day * HOURS_PER_DAY}).scalar_one()
        total = self._connection.execute(_NEWEST_DAY, {"day": day_text(day)}).scalar_one()
        found = [
            None if record is None else record // MICROS_PER_DAY,
            None if hour is None else hour // HOURS_PER_DAY,
            None if total is None else day_number(total),
        ]
        return max((each for each in found if each is not None), default=None)

    def sessions_after(self, session_id: str, *, since: int, until: int, limit: int) -> Sequence[tuple[str, int]]:
        parameters = {"session_id": session_id, "since": since, "until": until, "limit": limit}
        return [(row.session_id, row.started_at) for row in self._connection.execute(_NEXT_SESSIONS, parameters)]

    def expected_of_day(self, day: int) -> dict[Aggregate, Totals]:
        hours: dict[Key, Figures] = {}
        days: dict[Key, Figures] = {}
        text = day_text(day)
        bounds = {"since": day * MICROS_PER_DAY, "until": (day + 1) * MICROS_PER_DAY}
        for hour, agent, model, *halves in _expected_hours(self._dialect).rows(self._connection, bounds):
            figures = tuple(whole_of_halves([int(half) for half in halves]))
            hours[hour, agent, model] = figures
            known = days.get((text, agent, model))
            days[text, agent, model] = figures if known is None else _added(known, figures)
        performance = self._performance(text, bounds["since"], bounds["until"])
        return {Aggregate.HOURS: hours, Aggregate.DAYS: days, Aggregate.PERFORMANCE: performance}

    def _performance(self, day: str, since: int, until: int) -> dict[Key, Figures]:
        requests: Counter[Key] = Counter()
        errors: Counter[Key] = Counter()
        for start, end in self._windows(since, until):
            columns = _records(self._dialect).columns(self._connection, {"since": start, "until": end})
            for (agent, model, runtime, status), count in Counter(zip(*columns, strict=True)).items():
                key = (day, agent, model, NO_RUNTIME if runtime is None else bucket_of(runtime))
                requests[key] += count
                errors[key] += count if status == UsageStatus.ERROR else 0
        return {key: (count, errors[key]) for key, count in requests.items()}

    def _windows(self, since: int, until: int) -> Iterator[tuple[int, int]]:
        """The time in parts of about :data:`_ROWS` records."""
        start = since
        while start < until:
            end = self._connection.execute(_FAR_RECORD, {"since": start, "until": until, "rows": _ROWS}).scalar()
            yield start, until if end is None else max(end, start + 1)
            start = until if end is None else max(end, start + 1)

    def stored_of_day(self, day: int) -> dict[Aggregate, Totals]:
        text, first = day_text(day), day * HOURS_PER_DAY
        return {
            Aggregate.HOURS: self._stored(_hours_of(self._dialect), since=first, until=first + HOURS_PER_DAY, keys=3),
            Aggregate.DAYS: self._stored(_of_day(self._dialect, Aggregate.DAYS), day=text, keys=3),
            Aggregate.PERFORMANCE: self._stored(_of_day(self._dialect, Aggregate.PERFORMANCE), day=text, keys=4),
        }

    def _stored(self, answer: Answer, *, keys: int, **parameters: str | int) -> Totals:
        return {tuple(row[:keys]): tuple(row[keys:]) for row in answer.rows(self._connection, parameters)}

    def expected_of_sessions(self, session_ids: Sequence[str]) -> Totals:
        batch = as_parameter([(session_id,) for session_id in session_ids])
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(_SESSION_SUMS))
        for session_id, *halves in _expected_sessions(self._dialect).rows(self._connection, batch):
            sums[session_id][1:] = whole_of_halves([int(half) for half in halves])
        for session_id, events in _events_of(self._dialect).rows(self._connection, batch):
            sums[session_id][0] = events
        return {(session_id,): tuple(sums[session_id]) for session_id in session_ids}

    def stored_of_sessions(self, session_ids: Sequence[str]) -> Totals:
        batch = as_parameter([(session_id,) for session_id in session_ids])
        rows = _stored_sessions(self._dialect).rows(self._connection, batch)
        return {(row[0],): tuple(row[1:]) for row in rows}

    def correct(self, aggregate: Aggregate, corrections: dict[Key, Figures]) -> None:
        if not corrections:
            return
        rows = [(*key, *figures) for key, figures in corrections.items()]
        if aggregate is Aggregate.SESSIONS:  # sessions are there, and stay
            execute_change(self._connection, _correct_sessions(self._dialect), as_parameter(rows))
            return
        execute_change(self._connection, _correct(self._dialect, aggregate), as_parameter(rows))
        execute_change(self._connection, _forget_empty(self._dialect, aggregate), as_parameter(corrections))


def _added(one: Figures, other: Figures) -> Figures:
    return tuple(a + b for a, b in zip(one, other, strict=True))


_NEWEST_RECORD: Final[Select[int | None]] = select(func.max(session_usage.c.at)).where(
    session_usage.c.at < bindparam("at")
)
_NEWEST_HOUR: Final[Select[int | None]] = select(func.max(hourly_usage_agg.c.hour)).where(
    hourly_usage_agg.c.hour < bindparam("hour")
)
_NEWEST_DAY: Final[Select[str | None]] = select(func.max(daily_usage_agg.c.day)).where(
    daily_usage_agg.c.day < bindparam("day")
)
_NEXT_SESSIONS: Final[Select[str, int]] = (
    select(session_ledger.c.session_id, session_ledger.c.started_at)
    .where(
        session_ledger.c.session_id > bindparam("session_id"),
        session_ledger.c.started_at >= bindparam("since"),
        session_ledger.c.started_at < bindparam("until"),
    )
    .order_by(session_ledger.c.session_id)
    .limit(bindparam("limit"))
)
_FAR_RECORD: Final[Select[int]] = (
    select(session_usage.c.at)
    .where(session_usage.c.at >= bindparam("since"), session_usage.c.at < bindparam("until"))
    .order_by(session_usage.c.at)
    .offset(bindparam("rows"))
    .limit(1)
)
_WITHIN: Final = (session_usage.c.at >= bindparam("since"), session_usage.c.at < bindparam("until"))


@cache
def _expected_hours(dialect: str) -> Answer:
    hour, sums = record_sums(_FIGURES)
    groups = (hour, session_usage.c.agent, session_usage.c.model)
    return Answer(dialect, select(*groups, *sums).where(*_WITHIN).group_by(*groups))


@cache
def _records(dialect: str) -> ColumnarAnswer:
    record = session_usage.c
    return ColumnarAnswer(dialect, select(record.agent, record.model, record.runtime_ms, record.status).where(*_WITHIN))


@cache
def _hours_of(dialect: str) -> Answer:
    hour = hourly_usage_agg.c.hour
    statement = _all_of(Aggregate.HOURS).where(hour >= bindparam("since"), hour < bindparam("until"))
    return Answer(dialect, statement)


@cache
def _of_day(dialect: str, aggregate: Aggregate) -> Answer:
    return Answer(dialect, _all_of(aggregate).where(aggregate.value.table.c.day == bindparam("day")))


def _all_of(aggregate: Aggregate) -> Select[*tuple[Any, ...]]:
    kept = aggregate.value
    return select(*(kept.table.c[name] for name in (*kept.keys, *kept.sums)))


@cache
def _expected_sessions(dialect: str) -> Answer:
    _, sums = record_sums(_SESSION_SUMS[1:])
    these = BatchRows(dialect, session_usage, ("session_id",)).contains
    session_id = session_usage.c.session_id
    return Answer(dialect, select(session_id, *sums).where(these).group_by(session_id))


@cache
def _events_of(dialect: str) -> Answer:
    these = BatchRows(dialect, session_events, ("session_id",)).contains
    session_id = session_events.c.session_id
    return Answer(dialect, select(session_id, func.count().label("events")).where(these).group_by(session_id))


@cache
def _stored_sessions(dialect: str) -> Answer:
    these = BatchRows(dialect, session_ledger, ("session_id",)).contains
    return Answer(dialect, _all_of(Aggregate.SESSIONS).where(these))


@cache
def _correct(dialect: str, aggregate: Aggregate) -> UpsertInsert:
    """Plain sums: what is added may be below zero, and what stands there is known not to overflow."""
    kept = aggregate.value
    statement = insert_rows(dialect, kept.table, (*kept.keys, *kept.sums))
    added = {name: kept.table.c[name] + statement.excluded[name] for name in kept.sums}
    return statement.on_conflict_do_update(index_elements=[kept.table.c[name] for name in kept.keys], set_=added)


@cache
def _correct_sessions(dialect: str) -> Update:
    batch = BatchRows(dialect, session_ledger, ("session_id", *_SESSION_SUMS))
    added = {name: session_ledger.c[name] + batch.cells[name] for name in _SESSION_SUMS}
    return update(session_ledger).where(session_ledger.c.session_id == batch.cells["session_id"]).values(added)


@cache
def _forget_empty(dialect: str, aggregate: Aggregate) -> Delete:
    kept = aggregate.value
    these = BatchRows(dialect, kept.table, kept.keys).contains
    return delete(kept.table).where(these, kept.table.c.requests == literal_column("0"))
