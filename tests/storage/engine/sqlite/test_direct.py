"""Statements that the driver executes itself: what they store, what they refuse, and whose transaction they are in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, DateTime, Integer, LargeBinary, MetaData, Table, Text, bindparam, select

from storage.engine.batches import as_parameter, insert_one, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failures import DataRefused, StorageAway
from storage.engine.sqlite.connection import sqlite_engine

THINGS = Table(
    "things",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("body", LargeBinary),
    Column("at", DateTime),
)
ADD = insert_rows("sqlite", THINGS, ("name", "size"))
ADD_ONE = insert_one("sqlite", THINGS, ("name", "size", "body"))
GROW = THINGS.update().where(THINGS.c.name == bindparam("wanted")).values(size=THINGS.c.size + 1)
DATE = THINGS.update().values(at=bindparam("now"))
ELSEWHERE = insert_rows("sqlite", Table("elsewhere", MetaData(), Column("name", Text)), ("name",))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = sqlite_engine(tmp_path / "things.db", busy_timeout_ms=1_000)
    with engine.begin() as connection:
        THINGS.metadata.create_all(connection)
    with engine.connect() as connection, connection.begin():
        yield connection
    engine.dispose()


def stored(connection: Connection) -> list[tuple[object, ...]]:
    rows = connection.execute(select(THINGS.c.name, THINGS.c.size, THINGS.c.body).order_by(THINGS.c.name))
    return [tuple(row) for row in rows]


def test_a_change_answers_how_many_rows_it_changed(connection: Connection) -> None:
    assert execute_change(connection, ADD, as_parameter([("a", 1), ("b", 2)])) == 2
    assert execute_change(connection, GROW, {"wanted": "b"}) == 1
    assert execute_change(connection, GROW, {"wanted": "nobody"}) == 0
    assert execute_change(connection, ADD_ONE, {"body": b"\0\xff", "size": 3, "name": "c"}) == 1
    assert stored(connection) == [("a", 1, None), ("b", 3, None), ("c", 3, b"\0\xff")]


def test_it_is_part_of_the_transaction_around_it(connection: Connection) -> None:
    execute_change(connection, ADD, as_parameter([("kept", 1)]))
    with connection.begin_nested() as savepoint:
        execute_change(connection, ADD, as_parameter([("gone", 1)]))
        savepoint.rollback()
    assert [name for name, *_ in stored(connection)] == ["kept"]


def test_what_the_driver_says_comes_as_what_storage_raises(connection: Connection) -> None:
    execute_change(connection, ADD, as_parameter([("a", 1)]))
    with pytest.raises(DataRefused, match=r"UNIQUE constraint failed: things\.name"):
        execute_change(connection, ADD, as_parameter([("a", 1)]))
    with pytest.raises(DataRefused):
        execute_change(connection, ADD_ONE, {"name": "b", "size": 2**64, "body": None})
    with pytest.raises(StorageAway, match="no such table"):
        execute_change(connection, ELSEWHERE, as_parameter([("a",)]))


def test_a_value_that_the_driver_would_not_store_as_it_is_needs_the_other_way(connection: Connection) -> None:
    with pytest.raises(TypeError, match="now"):
        execute_change(connection, DATE, {"now": "today"})


def test_a_parameter_that_is_missing_is_no_fault_of_the_data(connection: Connection) -> None:
    with pytest.raises(KeyError):
        execute_change(connection, ADD_ONE, {"name": "a", "size": 1})
