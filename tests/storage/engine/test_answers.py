"""A whole answer as one row: what was stored is what is read, to the last bit."""

import math
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Float, Integer, LargeBinary, MetaData, Table, Text, select

from storage.engine.answers import Answer
from storage.engine.sqlite.connection import sqlite_engine

_TABLE = Table(
    "told",
    MetaData(),
    Column("place", Integer, primary_key=True),
    Column("number", Integer),
    Column("measured", Float),
    Column("said", Text),
    Column("body", LargeBinary),
)
_ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.just(0.0) | st.floats(1e-15, 1e15) | st.floats(-1e15, -1e-15),
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        st.none() | st.binary(),
    ),
    max_size=8,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS)
def test_an_answer_in_one_row_has_every_value_as_it_was_stored(tmp_path: Path, rows: list[tuple[object, ...]]) -> None:
    stored = [(place, *row) for place, row in enumerate(rows)]
    engine = sqlite_engine(tmp_path / "told.db", busy_timeout_ms=1_000)
    with engine.begin() as connection:
        _TABLE.drop(connection, checkfirst=True)
        _TABLE.create(connection)
        for row in stored:
            connection.execute(_TABLE.insert().values(row))
        downwards = Answer("sqlite", select(_TABLE).order_by(_TABLE.c.place.desc())).rows(connection, {})
    assert [tuple(row) for row in downwards] == stored[::-1]
    assert all(_same_sign(row.measured, was[2]) for row, was in zip(downwards, stored[::-1], strict=True))
    engine.dispose()


def _same_sign(read: float | None, was: object) -> bool:
    return was is None if read is None else isinstance(was, float) and math.copysign(1, read) == math.copysign(1, was)
