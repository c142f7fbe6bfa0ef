"""How long requests took, by class of runtime: what percentiles are read from."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from sqlalchemy import Connection

from domain.ledger.changes import PerformanceCount
from storage.engine.batches import UpsertInsert, as_parameter
from storage.engine.changes import execute_change
from storage.engine.upserts import adding
from storage.tables.usage import model_perf_agg


class PerformanceRepository(Protocol):
    """Counts of requests by class of runtime."""

    def add(self, counts: Sequence[PerformanceCount]) -> None:
        """Add *counts*; they come in key order, one for each key."""
        ...


class SqlPerformanceRepository:
    """``model_perf_agg``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, counts: Sequence[PerformanceCount]) -> None:
        if counts:
            execute_change(self._connection, _add(self._dialect), as_parameter(counts))


@cache
def _add(dialect: str) -> UpsertInsert:
    return adding(dialect, model_perf_agg, PerformanceCount._fields, sums=("requests", "errors"))
