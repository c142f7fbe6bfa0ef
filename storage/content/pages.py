"""A page of a list by time, newest first, in the order of an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Column, Select, Table, select, tuple_

Mark: TypeAlias = tuple[int, str]
"""(when, id): by what a list is ordered."""


@dataclass(frozen=True, slots=True)
class Period:
    """From when (inclusive) until when (exclusive) ; None sets no bound."""

    since: int | None = None
    until: int | None = None


def page_of(
    table: Table,
    names: Sequence[str],
    when: Column[int],
    within: Period,
    *,
    before: Mark | None,
    limit: int,
    status: str | None = None,
) -> Select[*tuple[Any, ...]]:
    """The columns *names* of *table*, the first of which is its id, ordered by *when* and id."""
    mark = (when, table.c[names[0]])
    statement = select(*(table.c[name] for name in names))
    if status is not None:
        statement = statement.where(table.c.status == status)
    if within.since is not None:
        statement = statement.where(when >= within.since)
    if within.until is not None:
        statement = statement.where(when < within.until)
    if before is not None:
        statement = statement.where(tuple_(*mark) < tuple_(*before))
    return statement.order_by(*(column.desc() for column in mark)).limit(limit)
