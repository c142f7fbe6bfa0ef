"""A whole batch as one parameter.

``executemany`` hands the interpreter lock over once a row, which costs milliseconds while the event loop is busy; a
``VALUES`` list is compiled anew for each length. So a batch travels as one JSON array of arrays, and the statement
itself turns it into rows: ``json_each`` on SQLite, ``jsonb_array_elements`` on PostgreSQL. The statement's text never
changes, however large the batch is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

Row: TypeAlias = Sequence[str | int | float | None]
UpsertInsert: TypeAlias = "sqlite.Insert | postgresql.Insert"

_ROWS: Final = "rows"


class BatchRows:
    """The rows of a batch inside a statement, with the given column names and the types of *table*'s columns."""

    def __init__(self, dialect: str, table: Table, names: Sequence[str]) -> None:
        self._dialect = dialect
        self.names = tuple(names)
        self.cells: Mapping[str, ColumnElement[object]] = {
            name: self._cell(index, isinstance(table.c[name].type, BigInteger)) for index, name in enumerate(names)
        }
        expand = func.json_each if dialect == "sqlite" else func.jsonb_array_elements
        self.source: FromClause = expand(self._parameter()).table_valued("value", name="batch")

    def _parameter(self) -> ColumnElement[object]:
        parameter = bindparam(_ROWS, type_=Text())
        return parameter if self._dialect == "sqlite" else func.cast(parameter, postgresql.JSONB)

    def _cell(self, index: int, is_integer: bool) -> ColumnElement[object]:
        kind = BigInteger() if is_integer else Text()
        if self._dialect == "sqlite":
            return literal_column(f"json_extract(batch.value, '$[{index}]')", kind)
        return literal_column(f"CAST(batch.value ->> {index} AS {'BIGINT' if is_integer else 'TEXT'})", kind)

    def select(self) -> Select[tuple[object, ...]]:
        """All rows as they came. ``WHERE true`` keeps SQLite's parser from reading ON CONFLICT as a join."""
        return select(*(self.cells[name].label(name) for name in self.names)).select_from(self.source).where(true())


def insert_into(dialect: str, table: Table) -> UpsertInsert:
    """``INSERT INTO table`` in the dialect's own form, which has ON CONFLICT."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def insert_rows(dialect: str, table: Table, names: Sequence[str]) -> UpsertInsert:
    """``INSERT INTO table (names) SELECT ... FROM batch``, open for an ON CONFLICT clause."""
    return insert_into(dialect, table).from_select(
        list(names), BatchRows(dialect, table, names).select(), include_defaults=False
    )


def as_parameter(rows: Iterable[Row]) -> dict[str, str]:
    """The parameter that carries *rows* into a batch statement."""
    return {_ROWS: orjson.dumps(rows if isinstance(rows, list) else list(rows)).decode()}
