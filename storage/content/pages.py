"""A page of a list by time, newest first, in the order of an index."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Select, Table, select, tuple_

from storage.content.ports import Mark, Period


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
