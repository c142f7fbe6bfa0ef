"""Statements that change rows, executed in the way that is cheapest on each kind of database."""

from collections.abc import Mapping

from sqlalchemy import Connection
from sqlalchemy.sql.dml import UpdateBase

from storage.engine.sqlite.direct import execute_directly


def execute_change(connection: Connection, statement: UpdateBase, parameters: Mapping[str, object]) -> int:
    """Execute a statement that is made once and used again; how many rows it changed.

    The names of *parameters* are those of the statement's own bound parameters. Raises what
    :mod:`storage.engine.failures` names.
    """
    if connection.dialect.name == "sqlite":
        return execute_directly(connection, statement, parameters).rowcount
    return connection.execute(statement, parameters).rowcount
