"""Dead letters: every message that was refused, byte for byte, with the reason. One row for one stored message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import orjson
from sqlalchemy import Connection, Select, and_, func, select

from contracts.errors import JsonObject, Problem
from storage.batches import BatchRows, UpsertInsert, as_parameter, insert_into
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

    def add(self, letters: Sequence[DeadLetter], *, now: int) -> None:
        """Keep *letters*; one whose origin has a row already changes nothing."""
        if letters:
            self._connection.execute(_add(self._dialect), [_as_values(letter, now) for letter in letters])

    def count_open(self) -> int:
        return self._connection.execute(_COUNT_OPEN).scalar_one()


def _as_values(letter: DeadLetter, now: int) -> dict[str, object]:
    paths = sorted({detail.path for detail in letter.problem.details})
    return {
        "dead_letter_id": letter.dead_letter_id,
        "state": OPEN,
        "kind": letter.kind,
        "code": str(letter.problem.code),
        "paths": ",".join(paths),
        "problem": orjson.dumps(letter.problem.as_json()).decode(),
        "message_id": letter.message_id,
        "producer": letter.producer,
        "trace_id": letter.problem.trace_id,
        "stream": letter.stream,
        "subject": letter.subject,
        "sequence": letter.sequence,
        "stored_at": letter.stored_at,
        "delivered": letter.delivered,
        "received_at": now,
        "headers": orjson.dumps(dict(letter.headers)).decode(),
        "body": letter.body,
        "updated_at": now,
    }


_COUNT_OPEN: Final[Select[tuple[int]]] = (
    select(func.count()).select_from(dead_letters).where(dead_letters.c.state == OPEN)
)


@cache
def _by_origin(dialect: str) -> Select[tuple[str, int, int, str]]:
    batch = BatchRows(dialect, dead_letters, ("stream", "sequence", "stored_at"))
    table = dead_letters.c
    same = and_(*(table[name] == cell for name, cell in batch.cells.items()))
    return select(table.stream, table.sequence, table.stored_at, table.problem).select_from(
        batch.source.join(dead_letters, same)
    )


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_into(dialect, dead_letters).on_conflict_do_nothing(index_elements=["stream", "sequence", "stored_at"])
