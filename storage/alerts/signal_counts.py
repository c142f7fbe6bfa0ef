"""Counts by minute: what alert rules read instead of searching."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from domain.alerts.signals import MinuteCount
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter
from storage.engine.changes import execute_change
from storage.engine.upserts import adding
from storage.tables.alerts import signal_counts


class SignalCountRepository(Protocol):
    """What rules read instead of searching: counts by minute."""

    def add(self, counts: Sequence[MinuteCount]) -> None:
        """Add *counts*; there is one for each signal, minute and bucket."""
        ...

    def since(self, signals: Sequence[str], minute: int) -> Sequence[MinuteCount]:
        """The counts of *signals* from a minute on, oldest first."""
        ...


class SqlSignalCountRepository:
    """The ``signal_counts`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, counts: Sequence[MinuteCount]) -> None:
        if counts:
            # In key order, so that two daemons do not wait for each other in a circle.
            rows = sorted(counts, key=lambda count: count[:3])
            execute_change(self._connection, _add(self._dialect), as_parameter(rows))

    def since(self, signals: Sequence[str], minute: int) -> Sequence[MinuteCount]:
        if not signals:
            return []
        asked = as_parameter([(signal,) for signal in signals]) | {"first": minute}
        return [MinuteCount(*row) for row in self._connection.execute(_since(self._dialect), asked)]


@cache
def _add(dialect: str) -> UpsertInsert:
    def newest(new: UpsertInsert) -> ColumnElement[str | None]:
        return func.coalesce(new.excluded.newest, signal_counts.c.newest)

    return adding(dialect, signal_counts, MinuteCount._fields, sums=("occurrences",), others={"newest": newest})


@cache
def _since(dialect: str) -> Select[*tuple[Any, ...]]:
    these = BatchRows(dialect, signal_counts, ("signal",)).contains
    return (
        select(*(signal_counts.c[name] for name in MinuteCount._fields))
        .where(these, signal_counts.c.minute >= bindparam("first"))
        .order_by(signal_counts.c.minute, signal_counts.c.signal, signal_counts.c.bucket)
    )
