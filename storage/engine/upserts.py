"""Rows that add up: an insert that, where the key exists, merges the new figures into the old row."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, Table, case, func, literal_column, or_, select

from storage.engine.batches import BatchRows, UpsertInsert, insert_rows

_MAX: Final[ColumnElement[int]] = literal_column(str(2**63 - 1), BigInteger)


def larger(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    """The larger of two. ``max(a, b)`` and ``greatest(a, b)`` have no common name; CASE is known to both databases."""
    return case((new > old, new), else_=old)


def smaller(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    return case((new < old, new), else_=old)


def _sum(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    return case((old > _MAX - new, _MAX), else_=old + new)


def saturated(dialect: str, table: Table, sums: Collection[str]) -> Select[int]:
    """How many rows with the keys of a batch, which begin its rows, have a sum that can grow no more."""
    keys = BatchRows(dialect, table, [column.name for column in table.primary_key.columns])
    full = or_(*(table.c[name] == _MAX for name in sums))
    return select(func.count()).select_from(table).where(keys.contains, full)


def adding(
    dialect: str,
    table: Table,
    names: Sequence[str],
    *,
    sums: Collection[str],
    others: Mapping[str, Callable[[UpsertInsert], ColumnElement[Any]]] | None = None,
) -> UpsertInsert:
    """Insert a batch of *names* into *table*; on a known primary key add *sums* and set *others*.

    Sums are of numbers that are not negative, and stay at the largest number of 64 bits where they would pass it.
    """
    statement = insert_rows(dialect, table, names)
    merged: dict[str, ColumnElement[Any]] = {name: _sum(table.c[name], statement.excluded[name]) for name in sums}
    for name, expression in (others or {}).items():
        merged[name] = expression(statement)
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=merged)
