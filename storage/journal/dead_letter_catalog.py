"""Dead letters as an operator looks at them: lists, groups, one with all that is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, tuple_

from storage.engine.nul_text import from_stored, to_stored
from storage.tables.journal import dead_letters

Mark: TypeAlias = tuple[int, str]
"""(received_at, dead_letter_id): by what dead letters are ordered."""


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; what is empty or None says nothing. ``since`` is inclusive, ``until`` is not."""

    kinds: Sequence[str] = ()
    codes: Sequence[str] = ()
    producers: Sequence[str] = ()
    ids: Sequence[str] = ()
    states: Sequence[str] = ()
    since: int | None = None
    until: int | None = None


class Letter(NamedTuple):
    """A dead letter without its body, which has ``size`` bytes. ``headers`` and ``problem`` are JSON text."""

    dead_letter_id: str
    state: str
    kind: str
    code: str
    paths: str
    problem: str
    message_id: str | None
    producer: str | None
    trace_id: str | None
    stream: str
    subject: str
    sequence: int
    stored_at: int
    delivered: int
    received_at: int
    headers: str
    replay_number: int
    updated_at: int
    size: int


class LetterGroup(NamedTuple):
    """Dead letters that failed alike."""

    kind: str
    code: str
    paths: str
    producer: str | None
    letters: int
    first_seen: int
    last_seen: int


class DeadLetterCatalog:
    """Reads the ``dead_letters`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def page(self, wanted: LetterFilter, *, before: Mark | None, limit: int) -> list[Letter]:
        """Newest first, from *before* on."""
        statement = select(*_ALL).where(*_conditions(wanted))
        if before is not None:
            statement = statement.where(_literal(before) > _MARK)
        statement = statement.order_by(_LETTER.received_at.desc(), _LETTER.dead_letter_id.desc()).limit(limit)
        return [_letter(row) for row in self._connection.execute(statement)]

    def groups(self, wanted: LetterFilter, *, offset: int, limit: int) -> list[LetterGroup]:
        """The largest first."""
        alike = (_LETTER.kind, _LETTER.code, _LETTER.paths, _LETTER.producer)
        count = func.count()
        statement: Select[*tuple[Any, ...]] = (
            select(*alike, count, func.min(_LETTER.received_at), func.max(_LETTER.received_at))
            .where(*_conditions(wanted))
            .group_by(*alike)
            .order_by(count.desc(), *alike)
            .offset(offset)
            .limit(limit)
        )
        rows = self._connection.execute(statement)
        return [
            LetterGroup(from_stored(kind), code, from_stored(paths), _from_stored(producer), *figures)
            for kind, code, paths, producer, *figures in rows
        ]

    def get(self, dead_letter_id: str) -> Letter | None:
        row = self._connection.execute(select(*_ALL).where(_LETTER.dead_letter_id == dead_letter_id)).one_or_none()
        return None if row is None else _letter(row)

    def body(self, dead_letter_id: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """The body, or a part of it; empty where there is no such letter."""
        part = _LETTER.body if length is None else func.substr(_LETTER.body, offset + 1, length)
        found = self._connection.execute(select(part).where(_LETTER.dead_letter_id == dead_letter_id)).scalar()
        return bytes(found or b"")

    def marks(self, wanted: LetterFilter, *, after: Mark | None, limit: int) -> list[Mark]:
        """Which ones are meant, oldest first, from *after* on."""
        statement = select(_LETTER.received_at, _LETTER.dead_letter_id).where(*_conditions(wanted))
        if after is not None:
            statement = statement.where(_literal(after) < _MARK)
        statement = statement.order_by(_LETTER.received_at, _LETTER.dead_letter_id).limit(limit)
        return [(row.received_at, row.dead_letter_id) for row in self._connection.execute(statement)]

    def sequences_of(self, stream: str, sequences: Sequence[int]) -> set[int]:
        """Which of *sequences* of a stream have dead letters, whenever they were stored."""
        statement = select(_LETTER.sequence).where(_LETTER.stream == stream, _LETTER.sequence.in_(sequences))
        return set(self._connection.execute(statement).scalars()) if sequences else set()


_LETTER: Final = dead_letters.c
_ALL: Final = (
    *(_LETTER[name] for name in Letter._fields if name != "size"),
    func.length(_LETTER.body).label("size"),
)
_MARK: Final = tuple_(_LETTER.received_at, _LETTER.dead_letter_id)


def _literal(mark: Mark) -> ColumnElement[Any]:
    return tuple_(*mark)


def _conditions(wanted: LetterFilter) -> list[ColumnElement[bool]]:
    listed = (
        (_LETTER.kind, [to_stored(kind) for kind in wanted.kinds]),
        (_LETTER.code, wanted.codes),
        (_LETTER.producer, [to_stored(producer) for producer in wanted.producers]),
        (_LETTER.dead_letter_id, wanted.ids),
        (_LETTER.state, wanted.states),
    )
    conditions: list[ColumnElement[bool]] = [column.in_(values) for column, values in listed if values]
    if wanted.since is not None:
        conditions.append(_LETTER.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_LETTER.received_at < wanted.until)
    return conditions


def _letter(row: Row[*tuple[Any, ...]]) -> Letter:
    letter = Letter(*row)
    return letter._replace(
        kind=from_stored(letter.kind),
        paths=from_stored(letter.paths),
        message_id=_from_stored(letter.message_id),
        producer=_from_stored(letter.producer),
        subject=from_stored(letter.subject),
    )


def _from_stored(text: str | None) -> str | None:
    return None if text is None else from_stored(text)
