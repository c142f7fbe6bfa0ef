"""The outbox: what is to be published, committed together with the state it speaks of.

Each daemon relays the rows it wrote (``owner``), in ``position`` order within a lane (a stream). A row leaves the table
when its stream confirmed it; one that the server will never take is set aside as ``failed``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy import (
    Connection,
    Delete,
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    null,
    select,
    update,
)

from storage.tables.journal import outbox

PENDING: Final = "pending"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to publish: ``subject`` with the prefix, ``lane`` its stream, ``aggregate`` what its order belongs to.

    ``message_id`` is the envelope's id and the ``Nats-Msg-Id``.
    """

    message_id: str
    lane: str
    aggregate: str
    subject: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message that waits, with what is known of earlier tries. Times are microseconds since the epoch."""

    position: int
    message: OutboxMessage
    created_at: int
    attempts: int
    tried_at: int | None


@dataclass(frozen=True, slots=True)
class OutboxDepth:
    """How much waits, and since when."""

    pending: int
    failed: int
    oldest_at: int | None


class Outbox:
    """The ``outbox`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, messages: Sequence[OutboxMessage], *, owner: str, now: int) -> None:
        """Put *messages* in line, in this order."""
        if messages:
            self._connection.execute(_ADD, [_as_values(message, owner, now) for message in messages])

    def waiting(self, *, owner: str, lane: str, limit: int, max_bytes: int) -> list[OutboxRow]:
        """The next rows of *lane* in order: at most *limit*, and no more than about *max_bytes* of bodies."""
        rows: list[OutboxRow] = []
        size = 0
        for row in self._connection.execute(_WAITING, {"owner": owner, "lane": lane, "limit": limit}).yield_per(100):
            message = OutboxMessage(
                row.message_id, row.lane, row.aggregate, row.subject, row.body, orjson.loads(row.headers)
            )
            size += len(row.body)
            if rows and size > max_bytes:
                break
            rows.append(OutboxRow(row.position, message, row.created_at, row.attempts, row.tried_at))
        return rows

    def lanes(self, *, owner: str) -> set[str]:
        """The lanes in which *owner* has something waiting."""
        return set(self._connection.execute(_LANES, {"owner": owner}).scalars())

    def mark_tried(self, positions: Sequence[int], *, now: int) -> None:
        """Note, before the first byte goes out, that these may have been published."""
        if positions:
            self._connection.execute(_TRIED, {"positions": list(positions), "now": now})

    def remove(self, positions: Sequence[int]) -> None:
        """Forget rows that their stream has confirmed."""
        if positions:
            self._connection.execute(_REMOVE, {"positions": list(positions)})

    def set_aside(self, failures: Mapping[int, str]) -> None:
        """Mark rows that the server refused for good, with its reason."""
        if failures:
            self._connection.execute(_FAIL, [{"at": at, "why": why} for at, why in failures.items()])

    def adopt(self, *, owners: Sequence[str], new_owner: str) -> int:
        """Take over the rows of daemons that are gone; the number of rows taken."""
        if not owners:
            return 0
        return self._connection.execute(_ADOPT, {"owners": list(owners), "new_owner": new_owner}).rowcount

    def owners(self) -> set[str]:
        """Every daemon that has rows waiting."""
        return set(self._connection.execute(_OWNERS).scalars())

    def depth(self) -> OutboxDepth:
        row = self._connection.execute(_DEPTH).one()
        return OutboxDepth(row.pending or 0, row.failed or 0, row.oldest_at)


def _as_values(message: OutboxMessage, owner: str, now: int) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "lane": message.lane,
        "aggregate": message.aggregate,
        "subject": message.subject,
        "headers": orjson.dumps(dict(message.headers)).decode(),
        "body": message.body,
        "owner": owner,
        "created_at": now,
        "state": PENDING,
    }


_ADD: Final[Insert] = insert(outbox)
_IS_PENDING: Final = outbox.c.state == PENDING
_OWNED: Final = and_(_IS_PENDING, outbox.c.owner == bindparam("owner"))
_WAITING: Final[Select[tuple[object, ...]]] = (
    select(outbox)
    .where(_OWNED, outbox.c.lane == bindparam("lane"))
    .order_by(outbox.c.position)
    .limit(bindparam("limit"))
)
_LANES: Final[Select[tuple[str]]] = select(outbox.c.lane).where(_OWNED).distinct()
_OWNERS: Final[Select[tuple[str]]] = select(outbox.c.owner).where(_IS_PENDING).distinct()
_THESE: Final = outbox.c.position.in_(bindparam("positions", expanding=True))
_TRIED: Final[Update] = update(outbox).where(_THESE).values(attempts=outbox.c.attempts + 1, tried_at=bindparam("now"))
_REMOVE: Final[Delete] = delete(outbox).where(_THESE)
_FAIL: Final[Update] = (
    update(outbox).where(outbox.c.position == bindparam("at")).values(state=FAILED, failure=bindparam("why"))
)
_ADOPT: Final[Update] = (
    update(outbox)
    .where(_IS_PENDING, outbox.c.owner.in_(bindparam("owners", expanding=True)))
    .values(owner=bindparam("new_owner"))
)
_DEPTH: Final[Select[tuple[int | None, ...]]] = select(
    func.sum(case((_IS_PENDING, 1), else_=0)).label("pending"),
    func.sum(case((outbox.c.state == FAILED, 1), else_=0)).label("failed"),
    func.min(case((_IS_PENDING, outbox.c.created_at), else_=null())).label("oldest_at"),
)
