"""Items of feeds: what they say, and what became of them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, Update, and_, bindparam, literal_column, select, update
from sqlalchemy.sql.dml import ReturningInsert

from storage.content.pages import page_of
from storage.content.ports import Mark, Period
from storage.engine.batches import BatchRows, as_parameter, insert_rows
from storage.ledger.ports import FeedItem, ItemStanding
from storage.tables.base import Int
from storage.tables.content import feed_items


class SqlItemRepository:
    """The ``feed_items`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, items: Sequence[FeedItem]) -> set[str]:
        if not items:
            return set()
        rows = self._connection.execute(_add(self._dialect), as_parameter(sorted(items)))
        return {row.item_id for row in rows}

    def renew(self, items: Sequence[FeedItem]) -> None:
        if items:
            said = [[getattr(item, name) for name in _SAID] for item in sorted(items)]
            self._connection.execute(_renew(self._dialect), as_parameter(said))

    def lock(self, item_ids: Sequence[str]) -> Mapping[str, FeedItem]:
        if not item_ids:
            return {}
        asked = as_parameter([(item_id,) for item_id in item_ids])
        return {row.item_id: FeedItem(*row) for row in self._connection.execute(_lock(self._dialect), asked)}

    def store(self, standings: Sequence[ItemStanding]) -> None:
        if standings:
            self._connection.execute(_store(self._dialect), as_parameter(sorted(standings)))

    def get(self, item_id: str) -> FeedItem | None:
        row = self._connection.execute(_GET, {"item_id": item_id}).one_or_none()
        return None if row is None else FeedItem(*row)

    def page(self, within: Period, *, status: str | None, before: Mark | None, limit: int) -> Sequence[FeedItem]:
        when = feed_items.c.published_at
        wanted = page_of(feed_items, FeedItem._fields, when, within, status=status, before=before, limit=limit)
        return [FeedItem(*row) for row in self._connection.execute(wanted)]


_COLUMNS: Final = tuple(feed_items.c[name] for name in FeedItem._fields)
_GET: Final[Select[*tuple[Any, ...]]] = select(*_COLUMNS).where(feed_items.c.item_id == bindparam("item_id"))
_SAID: Final = (
    *("item_id", "source", "title", "url", "published_at", "text"),
    *("message_id", "trace_id", "producer", "created_at", "updated_at"),
)
"""What a newer message about an item replaces, after its key."""


@cache
def _add(dialect: str) -> ReturningInsert[Any]:
    statement = insert_rows(dialect, feed_items, FeedItem._fields).on_conflict_do_nothing(index_elements=["item_id"])
    return statement.returning(feed_items.c.item_id)


@cache
def _renew(dialect: str) -> Update:
    batch = BatchRows(dialect, feed_items, _SAID)
    newer = and_(feed_items.c.item_id == batch.cells["item_id"], batch.cells["created_at"] > feed_items.c.created_at)
    return (
        update(feed_items)
        .where(newer)
        .values(
            {name: batch.cells[name] for name in _SAID[1:]}
            | {"version": feed_items.c.version + literal_column("1", Int)}
        )
    )


@cache
def _lock(dialect: str) -> Select[*tuple[Any, ...]]:
    these = BatchRows(dialect, feed_items, ("item_id",)).contains
    return select(*_COLUMNS).where(these).order_by(feed_items.c.item_id).with_for_update()


@cache
def _store(dialect: str) -> Update:
    batch = BatchRows(dialect, feed_items, ItemStanding._fields)
    return (
        update(feed_items)
        .where(feed_items.c.item_id == batch.cells["item_id"])
        .values({name: batch.cells[name] for name in ItemStanding._fields[1:]})
    )
