"""Measurements of posts: all of them, the latest of each post, and the latest of each post on each day."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from sqlalchemy import Connection, Table, tuple_

from domain.content.performance import LatestMeasurements, Measurement
from storage.engine.batches import UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.performance import post_measurements, post_performance, post_performance_daily


class PostPerformanceRepository(Protocol):
    """How posts do."""

    def add(self, measurements: Sequence[Measurement]) -> None:
        """Keep measurements as they came."""
        ...

    def put_latest(self, latest: LatestMeasurements) -> None:
        """Replace what is older than these."""
        ...


class SqlPostPerformanceRepository:
    """``post_measurements``, ``post_performance`` and ``post_performance_daily``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, measurements: Sequence[Measurement]) -> None:
        if measurements:
            execute_change(self._connection, _add(self._dialect), as_parameter(measurements))

    def put_latest(self, latest: LatestMeasurements) -> None:
        if latest.of_posts:
            execute_change(self._connection, _put(self._dialect, post_performance), as_parameter(latest.of_posts))
            rows = [(day, *measurement) for day, measurement in latest.of_days]
            execute_change(self._connection, _put(self._dialect, post_performance_daily), as_parameter(rows))


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, post_measurements, Measurement._fields)


@cache
def _put(dialect: str, table: Table) -> UpsertInsert:
    """The newer measurement replaces the older one whole; the rule is that of :mod:`domain.content.performance`."""
    keys = list(table.primary_key.columns)
    names = [column.name for column in table.columns]
    statement = insert_rows(dialect, table, names)
    new, old = statement.excluded, table.c
    age = ("at", "created_at", "message_id")
    return statement.on_conflict_do_update(
        index_elements=keys,
        set_={name: new[name] for name in names if name not in {key.name for key in keys}},
        where=tuple_(*(new[name] for name in age)) > tuple_(*(old[name] for name in age)),
    )
