"""The inbox: which messages were taken already. The idempotency key is (kind, message_id)."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, Delete, delete, select

from storage.engine.answers import Answer
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failures import StorageConflict
from storage.tables.journal import inbox
from storage.tables.replays import imported_keys

MessageKey: TypeAlias = tuple[str, str]
"""(kind, message_id)"""

_KEY: Final = ("kind", "message_id")
_COLUMNS: Final = (*_KEY, "payload_hash", "received_at")


class InboxKey(NamedTuple):
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

    def claim(self, keys: Sequence[InboxKey], *, now: int) -> Mapping[MessageKey, str]:
        """Take the keys that are new; return the payload hashes of those that were known before.

        The common case, all new, is one statement. A key that another daemon is committing right now is waited for
        and then counts as known. Raises :class:`StorageConflict` where another daemon took one between two statements,
        and ``ValueError`` where a key comes twice.
        """
        if not keys:
            return {}
        if self.claim_new(claim_rows(keys, now=now), len(keys)):
            return {}
        rows = [(key.kind, key.message_id, key.payload_hash, now) for key in keys]
        known = self.known([(key.kind, key.message_id) for key in keys])
        new = [row for row in rows if (row[0], row[1]) not in known]
        if self._insert(new) != len(new):
            if len({(row[0], row[1]) for row in new}) != len(new):
                raise ValueError("a key comes twice in one claim")
            raise StorageConflict("another daemon took the same keys meanwhile")
        return known

    def claim_new(self, rows: Mapping[str, object], count: int) -> bool:
        """Take all of *count* keys, or none where one was known before. *rows* is what :func:`claim_rows` made."""
        run = self._connection.exec_driver_sql  # SQLAlchemy would compile its savepoints anew each time
        run("SAVEPOINT inbox_claim")
        are_new = execute_change(self._connection, _insert(self._dialect), rows) == count
        if not are_new:
            run("ROLLBACK TO SAVEPOINT inbox_claim")
        run("RELEASE SAVEPOINT inbox_claim")
        return are_new

    def _insert(self, rows: Sequence[tuple[str, str, str, int]]) -> int:
        if not rows:
            return 0
        return execute_change(self._connection, _insert(self._dialect), as_parameter(rows))

    def known(self, keys: Sequence[MessageKey]) -> Mapping[MessageKey, str]:
        """The payload hash of each of *keys* that was taken."""
        if not keys:
            return {}
        rows = _known(self._dialect).rows(self._connection, as_parameter(keys))
        return {(row.kind, row.message_id): row.payload_hash for row in rows}

    def retain(self, keys: Sequence[MessageKey]) -> None:
        """Have *keys* outlive the others: they are those of imports, which are repeated at any time."""
        if keys:
            execute_change(self._connection, _keep(self._dialect), as_parameter(sorted(keys)))

    def release(self, keys: Sequence[MessageKey]) -> None:
        """Give back keys claimed in this transaction: a refused message does not use up its key."""
        if keys:
            execute_change(self._connection, _release(self._dialect), as_parameter(keys))


def claim_rows(keys: Iterable[InboxKey], *, now: int) -> Mapping[str, object]:
    """Keys that ask to be taken, in key order, as the parameter of the statement that takes them."""
    return as_parameter([(key.kind, key.message_id, key.payload_hash, now) for key in keys])


@cache
def _insert(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, inbox, _COLUMNS).on_conflict_do_nothing()


@cache
def _known(dialect: str) -> Answer:
    batch = BatchRows(dialect, inbox, _KEY)
    known = select(inbox.c.kind, inbox.c.message_id, inbox.c.payload_hash)
    return Answer(dialect, known.select_from(batch.source.join(inbox, batch.same)))


@cache
def _keep(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, imported_keys, _KEY).on_conflict_do_nothing()


@cache
def _release(dialect: str) -> Delete:
    return delete(inbox).where(BatchRows(dialect, inbox, _KEY).contains)
