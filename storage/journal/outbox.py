"""The outbox: what is to be published, committed together with the state it speaks of.

Each daemon relays the rows it wrote (``owner``), in ``position`` order within a lane (a stream). A row leaves the table
when its stream confirmed it; one that the server will never take is set aside as ``failed``.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Final

import orjson
from msgspec import Struct, field
from sqlalchemy import (
    Connection,
    Delete,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)

from storage.engine.answers import Answer
from storage.engine.batches import (
    LARGE_BYTES,
    BatchRows,
    UpsertInsert,
    as_parameter,
    insert_into,
    insert_one,
    with_blobs,
)
from storage.engine.changes import execute_change
from storage.tables.journal import outbox

PENDING: Final = "pending"
FAILED: Final = "failed"


class OutboxMessage(Struct, frozen=True):
    """A message to publish: ``subject`` with the prefix, ``lane`` its stream, ``aggregate`` what its order belongs to.

    ``message_id`` is the envelope's id and the ``Nats-Msg-Id``.
    """

    message_id: str
    lane: str
    aggregate: str
    subject: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class OutboxRow(Struct, frozen=True):
    """A message that waits, with what is known of earlier tries. Times are microseconds since the epoch."""

    position: int
    message: OutboxMessage
    created_at: int
    attempts: int
    tried_at: int | None


class OutboxDepth(Struct, frozen=True):
    """How much waits, and since when."""

    pending: int
    failed: int
    oldest_at: int | None


class OwnerBacklog(Struct, frozen=True):
    """How many rows of a daemon wait, and when the oldest was written."""

    owner: str
    rows: int
    oldest_at: int


class Outbox:
    """The ``outbox`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, messages: Sequence[OutboxMessage], *, owner: str, now: int) -> None:
        """Put *messages* in line, in this order."""
        for large, several in groupby(messages, lambda message: len(message.body) > LARGE_BYTES):
            rows = [_as_row(message) for message in several]
            shared = {"owner": owner, "created_at": now, "state": PENDING}
            if large:
                for row in rows:
                    execute_change(
                        self._connection, _add_large(self._dialect), dict(zip(_OWN, row, strict=True)) | shared
                    )
            else:
                execute_change(self._connection, _add(self._dialect), with_blobs(rows) | shared)

    def waiting(self, *, owner: str, lane: str, limit: int, max_bytes: int) -> list[OutboxRow]:
        """The next rows of *lane* in order: at most *limit*, and at most *max_bytes* of bodies, but one at least."""
        wanted = {"owner": owner, "lane": lane, "limit": limit, "max_bytes": max_bytes}
        if rows := _waiting(self._dialect).rows(self._connection, wanted):
            return [_outbox_row(*row) for row in rows]
        # Nothing waits, or the first is larger than that: one row by itself is read without the copies of an answer.
        first = self._connection.execute(_FIRST, {"owner": owner, "lane": lane}).one_or_none()
        return [] if first is None else [_outbox_row(*tuple(first))]

    def lanes(self, *, owner: str) -> set[str]:
        """The lanes in which *owner* has something waiting."""
        return {row.lane for row in self._connection.execute(_LANES, {"owner": owner})}

    def mark_tried(self, positions: Sequence[int], *, now: int) -> None:
        """Note that these were sent once and that nobody knows whether they arrived."""
        if positions:
            execute_change(self._connection, _tried(self._dialect), as_parameter(_alone(positions)) | {"now": now})

    def remove(self, positions: Sequence[int]) -> None:
        """Forget rows that their stream has confirmed."""
        if positions:
            execute_change(self._connection, _remove(self._dialect), as_parameter(_alone(positions)))

    def set_aside(self, failures: Mapping[int, str]) -> None:
        """Mark rows that the server refused for good, with its reason."""
        if failures:
            execute_change(self._connection, _fail(self._dialect), as_parameter(list(failures.items())))

    def adopt(self, *, owners: Sequence[str], new_owner: str) -> int:
        """Take over the rows of daemons that are gone; the number of rows taken."""
        if not owners:
            return 0
        parameters = as_parameter([(owner,) for owner in owners]) | {"new_owner": new_owner}
        return execute_change(self._connection, _adopt(self._dialect), parameters)

    def waiting_by_owner(self) -> list[OwnerBacklog]:
        """What each daemon has waiting."""
        return [OwnerBacklog(row.owner, row.how_many, row.oldest_at) for row in self._connection.execute(_BY_OWNER)]

    def owners(self) -> set[str]:
        """Every daemon that has rows waiting."""
        return {row.owner for row in self._connection.execute(_OWNERS)}

    def depth(self) -> OutboxDepth:
        """How much waits. The first in line counts as the oldest: rows are numbered as they are written."""
        row = self._connection.execute(_DEPTH).one()
        return OutboxDepth(row.pending, row.failed, row.oldest_at)


def _as_row(message: OutboxMessage) -> tuple[str | bytes, ...]:
    headers = orjson.dumps(dict(message.headers)).decode() if message.headers else "{}"
    return (message.message_id, message.lane, message.aggregate, message.subject, headers, message.body)


def _outbox_row(
    position: int,
    message_id: str,
    lane: str,
    aggregate: str,
    subject: str,
    headers: str,
    body: bytes,
    created_at: int,
    attempts: int,
    tried_at: int | None,
) -> OutboxRow:
    message = OutboxMessage(message_id, lane, aggregate, subject, body, orjson.loads(headers))
    return OutboxRow(position, message, created_at, attempts, tried_at)


def _alone(positions: Sequence[int]) -> list[tuple[int]]:
    return [(position,) for position in positions]


_OWN: Final = ("message_id", "lane", "aggregate", "subject", "headers", "body")
_SHARED: Final = ("owner", "created_at", "state")
"""What all rows of one call have in common."""
# Literals, not parameters: they select a partial index only where the planner can see them.
_IS_PENDING: Final = outbox.c.state == literal_column(f"'{PENDING}'")
_IS_FAILED: Final = outbox.c.state == literal_column(f"'{FAILED}'")
_OWNED: Final = and_(_IS_PENDING, outbox.c.owner == bindparam("owner"))
_ROWS: Final = select(
    outbox.c.position,
    outbox.c.message_id,
    outbox.c.lane,
    outbox.c.aggregate,
    outbox.c.subject,
    outbox.c.headers,
    outbox.c.body,
    outbox.c.created_at,
    outbox.c.attempts,
    outbox.c.tried_at,
)
_FIRST: Final = _ROWS.where(_OWNED, outbox.c.lane == bindparam("lane")).order_by(outbox.c.position).limit(1)
_LANES: Final[Select[str]] = select(outbox.c.lane).where(_OWNED).distinct()
_OWNERS: Final[Select[str]] = select(outbox.c.owner).where(_IS_PENDING).distinct()
_BY_OWNER: Final[Select[str, int, int]] = (
    select(outbox.c.owner, func.count().label("how_many"), func.min(outbox.c.created_at).label("oldest_at"))
    .where(_IS_PENDING)
    .group_by(outbox.c.owner)
)
_OLDEST: Final = select(outbox.c.created_at).where(_IS_PENDING).order_by(outbox.c.position).limit(1).scalar_subquery()
_DEPTH: Final = select(
    select(func.count()).select_from(outbox).where(_IS_PENDING).scalar_subquery().label("pending"),
    select(func.count()).select_from(outbox).where(_IS_FAILED).scalar_subquery().label("failed"),
    _OLDEST.label("oldest_at"),
)


@cache
def _waiting(dialect: str) -> Answer:
    """Sizes first, so that no body is read that will not be sent."""
    lengths = (
        select(outbox.c.position, func.length(outbox.c.body).label("length"))
        .where(_OWNED, outbox.c.lane == bindparam("lane"))
        .order_by(outbox.c.position)
        .limit(bindparam("limit"))
        .subquery()
    )
    through = func.sum(lengths.c.length).over(order_by=lengths.c.position, rows=(None, 0))
    sizes = select(lengths.c.position, lengths.c.length, through.label("through")).subquery()
    waiting = (
        _ROWS.select_from(sizes.join(outbox, outbox.c.position == sizes.c.position))
        .where(sizes.c.through <= bindparam("max_bytes"))
        .order_by(outbox.c.position)
    )
    return Answer(dialect, waiting)


@cache
def _add_large(dialect: str) -> UpsertInsert:
    return insert_one(dialect, outbox, (*_OWN, *_SHARED))


@cache
def _add(dialect: str) -> UpsertInsert:
    shared = [bindparam(name, type_=outbox.c[name].type) for name in _SHARED]
    rows = BatchRows(dialect, outbox, _OWN).select().add_columns(*shared)
    return insert_into(dialect, outbox).from_select([*_OWN, *_SHARED], rows, include_defaults=False)


def _these(dialect: str) -> BatchRows:
    return BatchRows(dialect, outbox, ("position",))


@cache
def _tried(dialect: str) -> Update:
    return (
        update(outbox).where(_these(dialect).contains).values(attempts=outbox.c.attempts + 1, tried_at=bindparam("now"))
    )


@cache
def _remove(dialect: str) -> Delete:
    return delete(outbox).where(_these(dialect).contains)


@cache
def _fail(dialect: str) -> Update:
    batch = BatchRows(dialect, outbox, ("position", "failure"))
    return (
        update(outbox)
        .where(outbox.c.position == batch.cells["position"])
        .values(state=FAILED, failure=batch.cells["failure"])
    )


@cache
def _adopt(dialect: str) -> Update:
    owners = BatchRows(dialect, outbox, ("owner",))
    # The former owner may have published them: from now on they count as tried.
    return (
        update(outbox)
        .where(_IS_PENDING, owners.contains)
        .values(owner=bindparam("new_owner"), attempts=outbox.c.attempts + 1)
    )
