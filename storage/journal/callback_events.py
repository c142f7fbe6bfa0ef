"""Callbacks that were accepted, by family and event: one event changes something once."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from storage.engine.answers import Answer
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failures import StorageConflict
from storage.tables.work import callback_events


class CallbackEvent(NamedTuple):
    """An accepted callback. ``event_hash`` covers its payload and the id in its subject."""

    family: str
    event_id: str
    event_hash: str
    subject_id: str
    attempt: int | None
    sequence: int | None
    trace_id: str
    received_at: int


class CallbackEvents:
    """The ``callback_events`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def known(self, family: str, event_ids: Sequence[str]) -> Mapping[str, str]:
        """The hash of each of *event_ids* that was accepted before."""
        if not event_ids:
            return {}
        asked = as_parameter([(event_id,) for event_id in event_ids]) | {"in_family": family}
        return {row.event_id: row.event_hash for row in _known(self._dialect).rows(self._connection, asked)}

    def add(self, events: Sequence[CallbackEvent]) -> None:
        """Keep *events*, none of which is known. Raises :class:`StorageConflict` where another daemon took one of them
        for another subject meanwhile."""
        if events and execute_change(self._connection, _add(self._dialect), as_parameter(sorted(events))) != len(
            events
        ):
            raise StorageConflict("another daemon accepted the same event meanwhile")


_KEY: Final = ("event_id",)


@cache
def _known(dialect: str) -> Answer:
    these = BatchRows(dialect, callback_events, _KEY).contains
    known = select(callback_events.c.event_id, callback_events.c.event_hash)
    return Answer(dialect, known.where(callback_events.c.family == bindparam("in_family"), these))


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, callback_events, CallbackEvent._fields).on_conflict_do_nothing()
