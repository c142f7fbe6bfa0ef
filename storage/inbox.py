"""The inbox: which messages were taken already. The idempotency key is (kind, message_id)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from sqlalchemy import Connection, Delete, Select, and_, delete, exists, select

from storage.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.failures import StorageConflict
from storage.tables.journal import inbox

Key: TypeAlias = tuple[str, str]
"""(kind, message_id)"""

_COLUMNS = ("kind", "message_id", "payload_hash", "received_at")


@dataclass(frozen=True, slots=True)
class InboxKey:
    """A message that asks to be taken."""

    kind: str
    message_id: str
    payload_hash: str


class Inbox:
    """The ``inbox`` table. Keys must be unique within one call and come in key order, so that two daemons never
    wait for each other in a circle."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def claim(self, keys: Sequence[InboxKey], *, now: int) -> Mapping[Key, str]:
        """Take the keys that are new; return the payload hashes of those that were known before.

        The common case, all new, is one statement. A key that another daemon is committing right now is waited for
        and then counts as known.
        """
        rows = [(key.kind, key.message_id, key.payload_hash, now) for key in keys]
        savepoint = self._connection.begin_nested()
        if self._insert(rows) == len(rows):
            savepoint.commit()
            return {}
        savepoint.rollback()
        known = self.known([(key.kind, key.message_id) for key in keys])
        new = [row for row in rows if (row[0], row[1]) not in known]
        if self._insert(new) != len(new):
            raise StorageConflict("another daemon took the same keys meanwhile")
        return known

    def _insert(self, rows: Sequence[tuple[str, str, str, int]]) -> int:
        if not rows:
            return 0
        return self._connection.execute(_insert(self._dialect), as_parameter(rows)).rowcount

    def known(self, keys: Sequence[Key]) -> Mapping[Key, str]:
        """The payload hash of each of *keys* that was taken."""
        result = self._connection.execute(_known(self._dialect), as_parameter(keys))
        return {(kind, message_id): payload_hash for kind, message_id, payload_hash in result}

    def release(self, keys: Sequence[Key]) -> None:
        """Give back keys claimed in this transaction: a refused message does not use up its key."""
        if keys:
            self._connection.execute(_release(self._dialect), as_parameter(keys))


@cache
def _insert(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, inbox, _COLUMNS).on_conflict_do_nothing()


@cache
def _known(dialect: str) -> Select[tuple[str, str, str]]:
    batch = BatchRows(dialect, inbox, ("kind", "message_id"))
    same = and_(inbox.c.kind == batch.cells["kind"], inbox.c.message_id == batch.cells["message_id"])
    return select(inbox.c.kind, inbox.c.message_id, inbox.c.payload_hash).select_from(batch.source.join(inbox, same))


@cache
def _release(dialect: str) -> Delete:
    batch = BatchRows(dialect, inbox, ("kind", "message_id"))
    same = and_(inbox.c.kind == batch.cells["kind"], inbox.c.message_id == batch.cells["message_id"])
    return delete(inbox).where(exists(select(1).select_from(batch.source).where(same)))
