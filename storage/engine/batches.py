"""A whole batch as one parameter.

``executemany`` hands the interpreter lock over once a row, which costs milliseconds while the event loop is busy; a
``VALUES`` list is compiled anew for each length. So a batch travels as one JSON array of arrays, and the statement
itself turns it into rows: ``json_each`` on SQLite, ``jsonb_array_elements`` on PostgreSQL. The statement's text never
changes, however large the batch is.

JSON holds no bytes. Those of all rows travel as a second parameter, one after the other, and a row's cell says where
its own begin and how many they are.

On SQLite the rows come out of a select of their own: ``json_each`` would otherwise write out a row's text again for
every one of its cells (measured for 24 columns: 14 microseconds a row, and 8 this way).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects import sqlite

from storage.engine.failures import DataRefused

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

Scalar: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = Sequence[Scalar]
UpsertInsert: TypeAlias = "sqlite.Insert | postgresql.Insert"
Cell: TypeAlias = ColumnElement[Any]
"""A cell of a batch; its type is that of the table's column, known when the statement is built."""

_ROWS: Final = "rows"
_BLOBS: Final = "blobs"
# An escape, not the text of one: what stands before it is an even number of backslashes.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PAD: Final = b"\0"
"""In front of all bytes: SQLite takes a part of an empty blob for NULL."""


class BatchRows:
    """The rows of a batch inside a statement, with the given column names and the types of *table*'s columns."""

    def __init__(self, dialect: str, table: Table, names: Sequence[str]) -> None:
        self._dialect = dialect
        self._table = table
        self.names = tuple(names)
        self.source: FromClause = _source(dialect)
        self.cells: Mapping[str, Cell] = {name: self._cell(index, name) for index, name in enumerate(names)}

    def _cell(self, index: int, name: str) -> Cell:
        kind = self._table.c[name].type
        if isinstance(kind, LargeBinary):
            blobs = bindparam(_BLOBS, type_=LargeBinary())
            return func.substr(blobs, self._part(index, 0), self._part(index, 1), type_=kind)
        value = self.source.c.value
        if self._dialect == "sqlite":
            return func.json_extract(value, literal_column(f"'$[{index}]'"), type_=kind)
        text = value.op("->>")(literal_column(str(index)))
        return cast(text, BigInteger()) if isinstance(kind, BigInteger) else cast(text, kind)

    def _part(self, index: int, at: int) -> Cell:
        """Where a cell's bytes begin (0), and how many they are (1)."""
        value = self.source.c.value
        if self._dialect == "sqlite":
            return func.json_extract(value, literal_column(f"'$[{index}][{at}]'"), type_=Integer())
        return cast(value.op("->")(literal_column(str(index))).op("->>")(literal_column(str(at))), Integer())

    def select(self) -> Select[*tuple[Any, ...]]:
        """All rows as they came. ``WHERE true`` keeps SQLite's parser from reading ON CONFLICT as a join."""
        return select(*(self.cells[name].label(name) for name in self.names)).select_from(self.source).where(true())

    @cached_property
    def same(self) -> ColumnElement[bool]:
        """Whether a row of the table is the batch's row: for joins."""
        return and_(*(self._table.c[name] == cell for name, cell in self.cells.items()))

    @cached_property
    def contains(self) -> ColumnElement[bool]:
        """Whether a row of the table is among the batch, in a form that finds it by its key instead of scanning."""
        columns = [self._table.c[name] for name in self.names]
        return (columns[0] if len(columns) == 1 else tuple_(*columns)).in_(self.select())


def _source(dialect: str) -> FromClause:
    rows = bindparam(_ROWS, type_=Text())
    if dialect == "sqlite":
        value = func.json_each(rows).table_valued("value", name="row").c.value
        # A limit keeps the planner from merging the two selects. (A materialized CTE would too, but with WITH in front
        # of INSERT the driver believes that nothing changes: its rowcount is -1.)
        return select(value).limit(literal_column("-1")).subquery("batch")
    from sqlalchemy.dialects import postgresql

    return func.jsonb_array_elements(cast(rows, postgresql.JSONB)).table_valued("value", name="batch")


def insert_into(dialect: str, table: Table) -> UpsertInsert:
    """``INSERT INTO table`` in the dialect's own form, which has ON CONFLICT."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # of no use to a daemon on SQLite

    return postgresql.insert(table)


LARGE_BYTES: Final = 1024 * 1024
"""From this size on a body is written by a statement of its own (:func:`insert_one`)."""


def insert_rows(dialect: str, table: Table, names: Sequence[str]) -> UpsertInsert:
    """``INSERT INTO table (names) SELECT ... FROM batch``, open for an ON CONFLICT clause."""
    rows = BatchRows(dialect, table, names).select()
    return insert_into(dialect, table).from_select(list(names), rows, include_defaults=False)


def insert_one(dialect: str, table: Table, names: Sequence[str]) -> UpsertInsert:
    """``INSERT INTO table (names) VALUES (...)``, its parameters by name, open for an ON CONFLICT clause.

    For a row with a large body, of which a batch would make three copies more.
    """
    return insert_into(dialect, table).values({name: bindparam(name) for name in names})


BLOCK_ROWS: Final = 1_000
"""Rows of one block (:func:`insert_block`)."""


@cache
def insert_block(table: str, names: Sequence[str]) -> str:
    """``INSERT INTO table (names) VALUES (...), ...`` for exactly :data:`BLOCK_ROWS` rows, for SQLite's driver.

    Its length never changes, so that it is compiled once. It costs half of what the same rows cost as one parameter
    (measured for 24 columns: 2.9 microseconds a row, and 5.3), and the interpreter lock is handed over once a block.
    Nothing is proven of the cells: they are to be what a contract has let through.
    """
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * BLOCK_ROWS)}"  # noqa: S608 - names of ours


def as_parameter(rows: Iterable[Row]) -> dict[str, object]:
    """The parameter that carries *rows* into a batch statement.

    Raises :class:`~storage.engine.failures.DataRefused` for what cannot travel this way: an integer beyond 64 bits, a
    lone surrogate, U+0000 (PostgreSQL refuses it, and SQLite would cut the text there).
    """
    return {_ROWS: _as_json(rows, None)}


def with_blobs(rows: Iterable[Row]) -> dict[str, object]:
    """The parameters that carry rows with cells of bytes; raises as :func:`as_parameter` does."""
    blobs = [_PAD]  # joined once: a large body is copied no more often than needs be
    filled = len(_PAD)

    def place(cell: object) -> tuple[int, int]:
        nonlocal filled
        if not isinstance(cell, bytes):
            raise TypeError(f"a cell of {type(cell).__name__}")
        start = filled + 1
        blobs.append(cell)
        filled += len(cell)
        return (start, len(cell))

    return {_ROWS: _as_json(rows, place), _BLOBS: b"".join(blobs)}


def _as_json(rows: Iterable[Row], default: Callable[[object], object] | None) -> str:
    try:
        written = orjson.dumps(list(map(tuple, rows)), default=default)  # named tuples are not JSON by themselves
    except orjson.JSONEncodeError as error:
        raise DataRefused(f"the batch is not JSON: {error}") from None
    if b"\\u0000" in written and _NUL.search(written):
        raise DataRefused("the batch holds U+0000")
    return written.decode()
