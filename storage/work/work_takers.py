"""What was last seen of those who take work, by its type: whether its time runs."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, select

from contracts.errors import JsonObject
from storage.engine.batches import UpsertInsert, as_parameter, insert_into, insert_rows
from storage.engine.changes import execute_change
from storage.tables.work import self_heal_rounds, work_takers


class WorkTaking(NamedTuple):
    """Times in microseconds since the epoch: when was looked, when work was last taken, since when nobody takes it."""

    type: str
    observed_at: int
    pulled_at: int | None
    idle_since: int | None


class WorkTakers:
    """The ``work_takers`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def lock_all(self) -> Mapping[str, WorkTaking]:
        """All rows, kept from others until the transaction ends."""
        columns = [work_takers.c[name] for name in WorkTaking._fields]
        rows = self._connection.execute(select(*columns).order_by(work_takers.c.type).with_for_update())
        return {row.type: WorkTaking(*row) for row in rows}

    def get_all(self) -> Mapping[str, WorkTaking]:
        """All rows as they were last seen."""
        rows = self._connection.execute(select(*(work_takers.c[name] for name in WorkTaking._fields)))
        return {row.type: WorkTaking(*row) for row in rows}

    def record(self, rows: Sequence[WorkTaking]) -> None:
        if rows:
            execute_change(self._connection, _store(self._dialect), as_parameter(sorted(rows)))


@cache
def _store(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, work_takers, WorkTaking._fields)
    return statement.on_conflict_do_update(
        index_elements=["type"], set_={name: statement.excluded[name] for name in WorkTaking._fields[1:]}
    )


class HealRound(NamedTuple):
    """A round of healing that is over; ``started_at`` in microseconds since the epoch."""

    started_at: int
    daemon: str
    result: JsonObject


class HealRounds:
    """The ``self_heal_rounds`` table: the last round of all daemons."""

    _LAST = "last"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def last(self) -> HealRound | None:
        table = self_heal_rounds.c
        row = self._connection.execute(select(table.started_at, table.daemon, table.result)).one_or_none()
        return None if row is None else HealRound(row.started_at, row.daemon, orjson.loads(row.result))

    def record(self, done: HealRound) -> None:
        """*done* is the last round from now on."""
        statement = insert_into(self._connection.dialect.name, self_heal_rounds).values(
            name=self._LAST,
            started_at=done.started_at,
            daemon=done.daemon,
            result=orjson.dumps(done.result).decode(),
        )
        changing = ("started_at", "daemon", "result")
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_={name: statement.excluded[name] for name in changing}
            )
        )
