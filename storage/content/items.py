"""Items of feeds: what they say, and what became of them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, Update, and_, bindparam, literal_column, select, update
from sqlalchemy.sql.dml import ReturningInsert

from contracts.values.states import ItemState
from domain.content.items import Item
from domain.work.work import Failure
from storage.content.pages import Mark, Period, page_of
from storage.engine.batches import BatchRows, Scalar, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failure_text import failure_text, read_failure
from storage.tables.base import Int
from storage.tables.content import feed_items
from storage.work.work import WorkRecord, WorkRepository, work_in_hand


class ItemSentiment(NamedTuple):
    """What an analysis found."""

    label: str
    score: float | None


class StoredItem(Struct, frozen=True):
    """An item: its standing, what its newest message says, and what came of it. Times are microseconds since the
    epoch."""

    item: Item
    source: str
    title: str
    url: str
    published_at: int
    text: str | None
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int
    version: int = 1
    sentiment: ItemSentiment | None = None
    failure: Failure | None = None

    @property
    def item_id(self) -> str:
        return self.item.item_id


class ItemRepository(Protocol):
    """Items of feeds."""

    def add(self, items: Sequence[StoredItem]) -> set[str]:
        """Keep those that are new; answers their ids. There is one of each id among *items*."""
        ...

    def renew(self, items: Sequence[StoredItem]) -> None:
        """Replace what older messages said of these; what is stored of a message as new or newer stays."""
        ...

    def lock(self, item_ids: Sequence[str]) -> Mapping[str, StoredItem]:
        """The items, kept from others until the transaction ends."""
        ...

    def store(self, items: Sequence[StoredItem]) -> None:
        """Write what decisions change; what messages said stays."""
        ...

    def get(self, item_id: str) -> StoredItem | None: ...

    def page(self, within: Period, *, status: str | None, before: Mark | None, limit: int) -> Sequence[StoredItem]:
        """By ``published_at``, newest first, from the one after *before* on."""
        ...


class SqlItemRepository:
    """The ``feed_items`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, items: Sequence[StoredItem]) -> set[str]:
        if not items:
            return set()
        added = self._connection.execute(_add(self._dialect), _batch(items, _NAMES))
        return {row.item_id for row in added}

    def renew(self, items: Sequence[StoredItem]) -> None:
        if items:
            execute_change(self._connection, _renew(self._dialect), _batch(items, _SAID))

    def lock(self, item_ids: Sequence[str]) -> Mapping[str, StoredItem]:
        if not item_ids:
            return {}
        asked = as_parameter([(item_id,) for item_id in item_ids])
        found = self._items(self._connection.execute(_lock(self._dialect), asked).all())
        return {item.item_id: item for item in found}

    def store(self, items: Sequence[StoredItem]) -> None:
        if items:
            execute_change(self._connection, _store(self._dialect), _batch(items, _DECIDED))

    def get(self, item_id: str) -> StoredItem | None:
        found = self._items(self._connection.execute(_GET, {"item_id": item_id}).all())
        return found[0] if found else None

    def page(self, within: Period, *, status: str | None, before: Mark | None, limit: int) -> Sequence[StoredItem]:
        when = feed_items.c.published_at
        wanted = page_of(feed_items, _NAMES, when, within, status=status, before=before, limit=limit)
        return self._items(self._connection.execute(wanted).all())

    def _items(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[StoredItem]:
        work = WorkRepository(self._connection).get_many([row.work_id for row in rows if row.work_id is not None])
        return [_item(row, work.get(row.work_id)) for row in rows]


_SAID: Final = (
    *("item_id", "source", "title", "url", "published_at", "text"),
    *("message_id", "trace_id", "producer", "created_at", "updated_at"),
)
"""What a newer message about an item replaces, after its key."""
_DECIDED: Final = (
    *("item_id", "status", "attempt", "work_id", "sentiment_label", "sentiment_score", "failure"),
    *("updated_at", "version"),
)
"""What decisions change, after the key."""
_NAMES: Final = tuple(dict.fromkeys((*_SAID, *_DECIDED, "received_at")))
_COLUMNS: Final = tuple(feed_items.c[name] for name in _NAMES)
_GET: Final[Select[*tuple[Any, ...]]] = select(*_COLUMNS).where(feed_items.c.item_id == bindparam("item_id"))


def _batch(items: Sequence[StoredItem], names: Sequence[str]) -> dict[str, object]:
    rows = map(_columns, sorted(items, key=lambda item: item.item_id))
    return as_parameter([[row[name] for name in names] for row in rows])


def _columns(stored: StoredItem) -> dict[str, Scalar]:
    item, sentiment = stored.item, stored.sentiment
    return {
        "item_id": item.item_id,
        "source": stored.source,
        "title": stored.title,
        "url": stored.url,
        "published_at": stored.published_at,
        "text": stored.text,
        "status": item.status,
        "attempt": item.attempt,
        "work_id": None if item.work is None else item.work.work_id,
        "sentiment_label": None if sentiment is None else sentiment.label,
        "sentiment_score": None if sentiment is None else sentiment.score,
        "failure": failure_text(stored.failure),
        "message_id": stored.message_id,
        "trace_id": stored.trace_id,
        "producer": stored.producer,
        "created_at": stored.created_at,
        "received_at": stored.received_at,
        "updated_at": stored.updated_at,
        "version": stored.version,
    }


def _item(row: Row[*tuple[Any, ...]], work: WorkRecord | None) -> StoredItem:
    label = row.sentiment_label
    return StoredItem(
        item=Item(row.item_id, ItemState(row.status), row.attempt, work_in_hand(work)),
        source=row.source,
        title=row.title,
        url=row.url,
        published_at=row.published_at,
        text=row.text,
        message_id=row.message_id,
        trace_id=row.trace_id,
        producer=row.producer,
        created_at=row.created_at,
        received_at=row.received_at,
        updated_at=row.updated_at,
        version=row.version,
        sentiment=None if label is None else ItemSentiment(label, row.sentiment_score),
        failure=read_failure(row.failure),
    )


@cache
def _add(dialect: str) -> ReturningInsert[Any]:
    statement = insert_rows(dialect, feed_items, _NAMES).on_conflict_do_nothing(index_elements=["item_id"])
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
    batch = BatchRows(dialect, feed_items, _DECIDED)
    return (
        update(feed_items)
        .where(feed_items.c.item_id == batch.cells["item_id"])
        .values({name: batch.cells[name] for name in _DECIDED[1:]})
    )
