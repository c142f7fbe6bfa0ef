"""Statements that SQLAlchemy has compiled once and SQLite's driver executes itself.

A transaction under load has two dozen statements, each of which takes the driver 2 microseconds of the interpreter and
SQLAlchemy 9 more, for results that are one row of plain values, or the number of rows changed (measured; together a
tenth of the time of the database's thread while jobs are run).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias, cast

from sqlalchemy import Connection, Float, Integer, LargeBinary, Select, Text
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.sqltypes import NullType

from storage.engine.failures import of_sqlite

Statement: TypeAlias = "UpdateBase | Select[*tuple[Any, ...]]"

_DIALECT: Final = pysqlite.dialect()
_PLAIN: Final = (Text, Integer, Float, LargeBinary, NullType)
"""What the driver takes as it is."""


class _Compiled(NamedTuple):
    """A statement's text; the names of its parameters in their order, and the values of those that never change."""

    text: str
    names: Sequence[str]
    constants: Mapping[str, object]


@lru_cache(maxsize=512)
def _compiled(statement: Statement) -> _Compiled:
    """Statements are made once and known by their identity."""
    compiled = statement.compile(dialect=_DIALECT)
    odd = [name for name, bound in compiled.binds.items() if not isinstance(bound.type, _PLAIN) or bound.expanding]
    if odd or compiled.positiontup is None:
        raise TypeError(f"parameters that the driver does not take as they are: {odd}")
    known = compiled.construct_params(_check=False)
    constants = {name: value for name, value in known.items() if not compiled.binds[name].required}
    return _Compiled(str(compiled), tuple(compiled.positiontup), constants)


def bound(statement: Statement, parameters: Mapping[str, object]) -> tuple[str, Sequence[object]]:
    """What the driver is given: the text, and the values in the order of its parameters."""
    text, names, constants = _compiled(statement)
    return text, [parameters[name] if name in parameters else constants[name] for name in names]


def execute_directly(connection: Connection, statement: Statement, parameters: Mapping[str, object]) -> sqlite3.Cursor:
    """Execute *statement* in the transaction of *connection*. Raises what :mod:`storage.engine.failures` names."""
    text, values = bound(statement, parameters)
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    try:
        return driver.execute(text, values)
    except Exception as error:
        failure = of_sqlite(error)
        if failure is None:
            raise
        raise failure from error
