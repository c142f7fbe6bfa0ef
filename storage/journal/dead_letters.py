"""Dead letters: every message that was refused, byte for byte, with the reason. One row for one stored message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import orjson
from sqlalchemy import Connection, Select, func, select
from sqlalchemy.sql.dml import ReturningInsert

from contracts.errors import JsonObject, Problem
from storage.engine.batches import LARGE_BYTES, BatchRows, Row, as_parameter, insert_one, insert_rows, with_blobs
from storage.engine.nul_text import to_stored
from storage.tables.journal import dead_letters

Origin: TypeAlias = tuple[str, int, int]
"""(stream, sequence, stored_at): the identity of a stored message."""

OPEN: Final = "open"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused message with its reason. Times are microseconds since the epoch."""

    dead_letter_id: str
    problem: Problem
    kind: str
    message_id: str | None
    producer: str | None
    stream: str
    subject: str
    sequence: int
    stored_at: int
    delivered: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def origin(self) -> Origin:
        return (self.stream, self.sequence, self.stored_at)


class DeadLetters:
    """The ``dead_letters`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def problems_of(self, origins: Sequence[Origin]) -> Mapping[Origin, JsonObject]:
        """The recorded reason for each of *origins* that was refused before (a redelivery finds its row)."""
        if not origins:
            return {}
        rows = self._connection.execute(_by_origin(self._dialect), as_parameter(origins))
        return {(row.stream, row.sequence, row.stored_at): orjson.loads(row.problem) for row in rows}

    def add(self, letters: Sequence[DeadLetter], *, now: int) -> set[str]:
        """Keep *letters*; the ids of those that are kept now: one whose origin has a row already changes nothing."""
        if not letters:
            return set()
        small = [_as_row(letter, now) for letter in letters if len(letter.body) <= LARGE_BYTES]
        kept = set(self._connection.execute(_add(self._dialect), with_blobs(small)).scalars()) if small else set()
        for letter in letters:
            if len(letter.body) > LARGE_BYTES:
                row = dict(zip(_COLUMNS, _as_row(letter, now), strict=True))
                kept.update(self._connection.execute(_add_large(self._dialect), row).scalars())
        return kept

    def count_open(self) -> int:
        return self._connection.execute(_COUNT_OPEN).scalar_one()


def _as_row(letter: DeadLetter, now: int) -> Row:
    problem = letter.problem
    return (
        letter.dead_letter_id,
        OPEN,
        to_stored(letter.kind),
        str(problem.code),
        paths_of(problem),
        orjson.dumps(problem.as_json()).decode(),
        None if letter.message_id is None else to_stored(letter.message_id),
        None if letter.producer is None else to_stored(letter.producer),
        problem.trace_id,
        letter.stream,
        to_stored(letter.subject),
        letter.sequence,
        letter.stored_at,
        letter.delivered,
        now,
        orjson.dumps(dict(letter.headers)).decode(),
        now,
        letter.body,
    )


def paths_of(problem: Problem) -> str:
    """The places that a problem names, as they are stored: names of fields as they came, which may be anything."""
    return to_stored(",".join(sorted({detail.path for detail in problem.details})))


_COLUMNS: Final = (
    "dead_letter_id",
    "state",
    "kind",
    "code",
    "paths",
    "problem",
    "message_id",
    "producer",
    "trace_id",
    "stream",
    "subject",
    "sequence",
    "stored_at",
    "delivered",
    "received_at",
    "headers",
    "updated_at",
    "body",
)
_ORIGIN: Final = ("stream", "sequence", "stored_at")
_COUNT_OPEN: Final[Select[int]] = select(func.count()).select_from(dead_letters).where(dead_letters.c.state == OPEN)


@cache
def _by_origin(dialect: str) -> Select[str, int, int, str]:
    batch = BatchRows(dialect, dead_letters, _ORIGIN)
    table = dead_letters.c
    return select(table.stream, table.sequence, table.stored_at, table.problem).select_from(
        batch.source.join(dead_letters, batch.same)
    )


@cache
def _add_large(dialect: str) -> ReturningInsert[str]:
    added = insert_one(dialect, dead_letters, _COLUMNS).on_conflict_do_nothing(index_elements=list(_ORIGIN))
    return added.returning(dead_letters.c.dead_letter_id)


@cache
def _add(dialect: str) -> ReturningInsert[str]:
    added = insert_rows(dialect, dead_letters, _COLUMNS).on_conflict_do_nothing(index_elements=list(_ORIGIN))
    return added.returning(dead_letters.c.dead_letter_id)
