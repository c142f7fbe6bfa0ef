"""Usage records, and the totals of hours and days that grow with them."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Final, Protocol

from sqlalchemy import Connection, Select, Table, select

from domain.ledger.changes import DailyTotals, HourlyTotals
from domain.ledger.usage import UsageRecord
from storage.engine.batches import BLOCK_ROWS, UpsertInsert, as_parameter, insert_block, insert_rows
from storage.engine.changes import execute_change
from storage.engine.upserts import adding, saturated
from storage.tables.usage import daily_usage_agg, hourly_usage_agg, session_usage


class UsageRepository(Protocol):
    """Usage records and their totals."""

    def add(self, records: Sequence[UsageRecord]) -> None: ...

    def add_to_days(self, totals: Sequence[DailyTotals]) -> int:
        """Add *totals* to their days; they come in key order, one for each day, agent and model.

        How many of the rows have a total that can grow no more.
        """
        ...

    def add_to_hours(self, totals: Sequence[HourlyTotals]) -> int:
        """Add *totals* to their hours; they come in key order, one for each hour, agent and model.

        How many of the rows have a total that can grow no more.
        """
        ...

    def hours(self) -> Mapping[tuple[int, str, str], HourlyTotals]:
        """All hourly totals by (hour, agent, model)."""
        ...

    def days(self) -> Mapping[tuple[str, str, str], DailyTotals]:
        """All daily totals by (day, agent, model)."""
        ...


class SqlUsageRepository:
    """``session_usage``, ``hourly_usage_agg`` and ``daily_usage_agg``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, records: Sequence[UsageRecord]) -> None:
        blocks = len(records) // BLOCK_ROWS if self._dialect == "sqlite" else 0
        for number in range(blocks):
            block = records[number * BLOCK_ROWS : (number + 1) * BLOCK_ROWS]
            statement = insert_block(session_usage.name, UsageRecord._fields)
            self._connection.exec_driver_sql(statement, tuple(chain.from_iterable(block)))
        if rest := records[blocks * BLOCK_ROWS :]:
            execute_change(self._connection, _add(self._dialect), as_parameter(rest))

    def add_to_days(self, totals: Sequence[DailyTotals]) -> int:
        return self._add_up(_add_to_days, daily_usage_agg, totals)

    def add_to_hours(self, totals: Sequence[HourlyTotals]) -> int:
        return self._add_up(_add_to_hours, hourly_usage_agg, totals)

    def _add_up(
        self, statement: Callable[[str], UpsertInsert], table: Table, totals: Sequence[DailyTotals | HourlyTotals]
    ) -> int:
        if not totals:
            return 0
        batch = as_parameter(totals)
        execute_change(self._connection, statement(self._dialect), batch)
        return self._connection.execute(_saturated(self._dialect, table), batch).scalar_one()

    def hours(self) -> Mapping[tuple[int, str, str], HourlyTotals]:
        rows = self._connection.execute(select(*(hourly_usage_agg.c[name] for name in HourlyTotals._fields)))
        return {(row.hour, row.agent, row.model): HourlyTotals(*row) for row in rows}

    def days(self) -> Mapping[tuple[str, str, str], DailyTotals]:
        rows = self._connection.execute(select(*(daily_usage_agg.c[name] for name in DailyTotals._fields)))
        return {(row.day, row.agent, row.model): DailyTotals(*row) for row in rows}


@cache
def _saturated(dialect: str, table: Table) -> Select[int]:
    return saturated(dialect, table, DailyTotals._fields[_KEYS:])


_KEYS: Final = 3
"""How many columns the key of a total has."""


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, session_usage, UsageRecord._fields)


@cache
def _add_to_days(dialect: str) -> UpsertInsert:
    return adding(dialect, daily_usage_agg, DailyTotals._fields, sums=DailyTotals._fields[_KEYS:])


@cache
def _add_to_hours(dialect: str) -> UpsertInsert:
    return adding(dialect, hourly_usage_agg, HourlyTotals._fields, sums=HourlyTotals._fields[_KEYS:])
