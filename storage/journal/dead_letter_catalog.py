"""Dead letters as an operator looks at them: lists, groups, one with all that is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from contracts.values.states import LetterState
from storage.engine.nul_text import from_stored, to_stored
from storage.tables.journal import dead_letters

Mark: TypeAlias = tuple[int, str]
"""(received_at, dead_letter_id): by what dead letters are ordered."""


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; what is empty or None says nothing. ``since`` is inclusive, ``until`` is not.

    ``paths`` are the places of whole groups, joined as they are stored; None among ``producers`` means unknown.
    """

    kinds: Sequence[str] = ()
    codes: Sequence[str] = ()
    paths: Sequence[str] = ()
    producers: Sequence[str | None] = ()
    ids: Sequence[str] = ()
    message_ids: Sequence[str] = ()
    trace_ids: Sequence[str] = ()
    except_ids: Sequence[str] = ()
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
        order = (_LETTER.received_at.desc(), _LETTER.dead_letter_id.desc())
        conditions = [] if before is None else [_literal(before) > _MARK]
        rows = self._connection.execute(_ordered(_ALL, wanted, conditions, order, limit))
        return [_letter(row) for row in rows]

    def groups(self, wanted: LetterFilter, *, offset: int, limit: int) -> list[LetterGroup]:
        """The largest first. Counted state by state, in the order of the index, and only then put together."""
        alike = (_LETTER.kind, _LETTER.code, _LETTER.paths, _LETTER.producer)
        received_at = _LETTER.received_at
        counts = (
            func.count().label("letters"),
            func.min(received_at).label("first"),
            func.max(received_at).label("last"),
        )
        part = select(*alike, *counts).where(*_conditions(wanted)).group_by(_LETTER.state, *alike).subquery().c
        together = (part.kind, part.code, part.paths, part.producer)
        letters = func.sum(part.letters).label("letters")
        statement: Select[*tuple[Any, ...]] = (
            select(*together, letters, func.min(part.first), func.max(part.last))
            .group_by(*together)
            .order_by(letters.desc(), *together)
            .offset(offset)
            .limit(limit)
        )
        rows = self._connection.execute(statement)
        return [
            LetterGroup(from_stored(kind), code, from_stored(paths), _from_stored(producer), int(count), first, last)
            for kind, code, paths, producer, count, first, last in rows
        ]

    def histogram(self, wanted: LetterFilter, *, since: int, until: int, buckets: int) -> Mapping[int, int]:
        """How many came in each of *buckets* equal parts of the time, by number from 0; empty ones are absent."""
        number = ((_LETTER.received_at - since) * buckets // (until - since)).label("number")
        statement = (
            select(number, func.count()).where(*_conditions(replace(wanted, since=since, until=until))).group_by(number)
        )
        return {int(bucket): count for bucket, count in self._connection.execute(statement)}

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
        order = (_LETTER.received_at, _LETTER.dead_letter_id)
        conditions = [] if after is None else [_literal(after) < _MARK]
        rows = self._connection.execute(_ordered(order, wanted, conditions, order, limit))
        return [(row.received_at, row.dead_letter_id) for row in rows]

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


def _ordered(
    columns: Sequence[ColumnElement[Any]],
    wanted: LetterFilter,
    beside: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    limit: int,
) -> Select[*tuple[Any, ...]]:
    """The first *limit* in an order of (received_at, dead_letter_id).

    Each state is asked for by itself and the answers are merged: an index gives the rows of one state in their order,
    while those of several would all be sorted first (200 ms for 100,000).
    """
    states = wanted.states or (tuple(LetterState) if _names_groups(wanted) else ())
    if len(states) < _SEVERAL:
        return select(*columns).where(*_conditions(wanted), *beside).order_by(*order).limit(limit)
    parts = [
        select(*columns)
        .where(*_conditions(replace(wanted, states=(state,))), *beside)
        .order_by(*order)
        .limit(limit)
        .subquery()
        for state in dict.fromkeys(states)
    ]
    merged = union_all(*(select(part) for part in parts)).subquery()
    by: list[ColumnElement[Any]] = [merged.c.received_at, merged.c.dead_letter_id]
    if order[0] is not _LETTER.received_at:
        by = [column.desc() for column in by]
    return select(merged).order_by(*by).limit(limit)


_SEVERAL: Final = 2


def _names_groups(wanted: LetterFilter) -> bool:
    return bool(wanted.kinds or wanted.codes or wanted.paths or wanted.producers)


def _conditions(wanted: LetterFilter) -> list[ColumnElement[bool]]:
    listed = (
        (_LETTER.kind, [to_stored(kind) for kind in wanted.kinds]),
        (_LETTER.code, wanted.codes),
        (_LETTER.paths, [to_stored(paths) for paths in wanted.paths]),
        (_LETTER.dead_letter_id, wanted.ids),
        (_LETTER.message_id, [to_stored(message_id) for message_id in wanted.message_ids]),
        (_LETTER.trace_id, wanted.trace_ids),
        (_LETTER.state, wanted.states),
    )
    conditions: list[ColumnElement[bool]] = [column.in_(values) for column, values in listed if values]
    if wanted.producers:
        conditions.append(_is_of(wanted.producers))
    if wanted.except_ids:
        conditions.append(_LETTER.dead_letter_id.not_in(wanted.except_ids))
    if wanted.since is not None:
        conditions.append(_LETTER.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_LETTER.received_at < wanted.until)
    return conditions


def _is_of(producers: Sequence[str | None]) -> ColumnElement[bool]:
    named = [to_stored(producer) for producer in producers if producer is not None]
    unknown = _LETTER.producer.is_(None)
    if len(named) == len(producers):
        return _LETTER.producer.in_(named)
    return or_(unknown, _LETTER.producer.in_(named)) if named else unknown


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
