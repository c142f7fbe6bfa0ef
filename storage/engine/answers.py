"""A whole answer as one row: the counterpart of :mod:`storage.engine.batches`.

SQLite's driver hands the interpreter lock over once for every row it fetches, and waits for it while the event loop is
busy. So a query that answers many rows has SQLite put them into one JSON array; bytes, which JSON cannot hold, come
beside it, one after the other. PostgreSQL's driver fetches whole answers anyway.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    LargeBinary,
    Select,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
)

from storage.engine.sqlite.direct import execute_directly

AnswerRow: TypeAlias = Any
"""A row with its columns as attributes, in their order."""

_EXACT: Final[ColumnElement[str]] = literal_column("'%!.17g'")
"""By itself SQLite's JSON has 15 digits of a number, which do not always read back the same. These do for what is
measured and stored here (1e-15 to 1e15); only near the limits of a double the last digit may differ."""


class Answer:
    """A query, ready to be asked on one kind of database."""

    def __init__(self, dialect: str, statement: Select[*tuple[Any, ...]]) -> None:
        self._packs = dialect == "sqlite"
        self._statement = statement

    def rows(self, connection: Connection, parameters: Mapping[str, object]) -> Sequence[AnswerRow]:
        """Ask, and read all rows, in the order of the query."""
        if not self._packs:
            return connection.execute(self._statement, parameters).all()
        packed, contents = execute_directly(connection, self._packed, parameters).fetchone()
        rows = orjson.loads(packed)
        if self._bytes_at is not None:
            _unpack(rows, self._bytes_at, contents)
        return list(map(self._row, rows))

    @cached_property
    def _row(self) -> Callable[[Iterable[object]], AnswerRow]:
        named: Any = namedtuple  # noqa: PYI024 - its names are known at run time only
        make: Callable[[Iterable[object]], AnswerRow] = named("Row", self._statement.selected_columns.keys())._make
        return make

    @cached_property
    def _bytes_at(self) -> int | None:
        """Where the one column of bytes stands, if there is one."""
        kinds = [isinstance(column.type, LargeBinary) for column in self._statement.selected_columns]
        if sum(kinds) > 1:
            raise ValueError("an answer has at most one column of bytes")
        return kinds.index(True) if any(kinds) else None

    @cached_property
    def _packed(self) -> Select[str, bytes | None]:
        rows = self._statement.subquery("answer")
        columns = list(rows.c)
        contents: ColumnElement[Any] = null()
        if self._bytes_at is not None:
            contents = cast(func.group_concat(columns[self._bytes_at], literal_column("''")), LargeBinary)
        return select(func.json_group_array(func.json_array(*map(_cell, columns))), contents)


class ColumnarAnswer:
    """A query of single values by the ten thousand, ready to be asked on one kind of database: read column by column,
    for a list of values is made several times faster than a list of rows. No column holds bytes; of a fraction SQLite's
    JSON has 15 digits."""

    def __init__(self, dialect: str, statement: Select[*tuple[Any, ...]]) -> None:
        self._packs = dialect == "sqlite"
        self._statement = statement

    def columns(self, connection: Connection, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """Ask, and read all columns; each has a value for every row."""
        if self._packs:
            return [
                orjson.loads(packed) for packed in execute_directly(connection, self._packed, parameters).fetchone()
            ]
        rows = connection.execute(self._statement, parameters).all()
        return list(zip(*rows, strict=True)) if rows else [()] * len(self._statement.selected_columns)

    @cached_property
    def _packed(self) -> Select[*tuple[Any, ...]]:
        columns = self._statement.subquery("answer").c
        return select(*(func.json_group_array(column) for column in columns))


def _cell(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, LargeBinary):
        return func.length(column)
    if isinstance(column.type, Float):
        return case((column.is_not(None), func.json(func.printf(_EXACT, column))))
    return column


def _unpack(rows: list[list[Any]], at: int, contents: bytes | None) -> None:
    """Put the bytes in the place of their lengths."""
    begin = 0
    for row in rows:
        if (length := row[at]) is not None:
            row[at] = b"" if contents is None else contents[begin : begin + length]
            begin += length
