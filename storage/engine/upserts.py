"""Rows that add up: an insert that, where the key exists, merges the new figures into the old row."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, case

from storage.engine.batches import UpsertInsert, insert_rows


def larger(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    """The larger of two. ``max(a, b)`` and ``greatest(a, b)`` have no common name; CASE is known to both databases."""
    return case((new > old, new), else_=old)


def smaller(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    return case((new < old, new), else_=old)


def adding(
    dialect: str,
    table: Table,
    names: Sequence[str],
    *,
    sums: Collection[str],
    others: Mapping[str, Callable[[UpsertInsert], ColumnElement[Any]]] | None = None,
) -> UpsertInsert:
    """Insert a batch of *names* into *table*; on a known primary key add *sums* and set *others*."""
    statement = insert_rows(dialect, table, names)
    merged: dict[str, ColumnElement[Any]] = {name: table.c[name] + statement.excluded[name] for name in sums}
    for name, expression in (others or {}).items():
        merged[name] = expression(statement)
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=merged)
