"""Discards of dead letters: who did it, in which run, and why."""

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import Connection, Select, bindparam, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from contracts.values.states import LetterState
from domain.dead_letters.dead_letters import LetterSignal, source
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.journal import dead_letters
from storage.tables.replays import dead_letter_discards


class Discard(NamedTuple):
    """Why a dead letter was discarded, and by whom."""

    run_id: str
    principal: str
    reason: str | None
    discarded_at: int


class Discards:
    """The discarding half of ``dead_letters``, and ``dead_letter_discards``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def discard(self, ids: Sequence[str], why: Discard) -> set[str]:
        """Discard those of *ids* that are open; which ones they were."""
        if not ids:
            return set()
        wanted = as_parameter([(each,) for each in sorted(ids)]) | {"now": why.discarded_at}
        discarded = set(self._connection.execute(_discard(self._dialect), wanted).scalars())
        if discarded:
            rows = [(each, *why) for each in sorted(discarded)]
            execute_change(self._connection, _note(self._dialect), as_parameter(rows))
        return discarded

    def get(self, dead_letter_id: str) -> Discard | None:
        row = self._connection.execute(_GET, {"wanted": dead_letter_id}).one_or_none()
        return None if row is None else Discard(*row)


_LETTER: Final = dead_letters.c
_COLUMNS: Final = ("dead_letter_id", *Discard._fields)
_OPEN: Final = _LETTER.state == literal_column(f"'{source(LetterSignal.DISCARD)}'")
_GET: Final[Select[str, str, str | None, int]] = select(
    dead_letter_discards.c.run_id,
    dead_letter_discards.c.principal,
    dead_letter_discards.c.reason,
    dead_letter_discards.c.discarded_at,
).where(dead_letter_discards.c.dead_letter_id == bindparam("wanted"))


@cache
def _discard(dialect: str) -> ReturningUpdate[str]:
    these = BatchRows(dialect, dead_letters, ("dead_letter_id",))
    return (
        update(dead_letters)
        .where(_OPEN, these.contains)
        .values(state=LetterState.DISCARDED, updated_at=bindparam("now"))
        .returning(_LETTER.dead_letter_id)
    )


@cache
def _note(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, dead_letter_discards, _COLUMNS)
