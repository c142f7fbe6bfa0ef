"""Replay runs: the frozen selection of each, item by item, and what became of every item."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    Connection,
    Select,
    Update,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)

from domain.dead_letters.dead_letters import ReplayOutcome
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.replays import replay_items, replay_runs

ItemMark: TypeAlias = tuple[str, str]
"""(target, item_id): by what the items of a run are ordered."""


class ReplayRun(NamedTuple):
    """A run of replays; ``stopped`` says why it is to send nothing more."""

    run_id: str
    frozen_at: int
    is_selecting: int
    requested: int
    stopped: str | None


class ReplayItem(NamedTuple):
    """One item of a run: without a number it waits, without an outcome it is in flight."""

    target: str
    item_id: str
    replay_number: int | None
    outcome: str | None
    reason: str | None

    @property
    def mark(self) -> ItemMark:
        return (self.target, self.item_id)


class ReplayCounts(NamedTuple):
    """How the items of a run stand. Once it has ended the others add up to ``requested``."""

    requested: int
    replayed: int
    skipped: int
    still_failed: int
    discarded: int = 0


class ReplayRuns:
    """``replay_runs`` and ``replay_items``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def open(self, run_id: str, *, frozen_at: int, is_selecting: bool) -> None:
        """Begin a run."""
        values = {"run_id": run_id, "frozen_at": frozen_at, "is_selecting": int(is_selecting)}
        self._connection.execute(insert(replay_runs), values)

    def get(self, run_id: str) -> ReplayRun | None:
        row = self._connection.execute(_RUN, {"wanted": run_id}).one_or_none()
        return None if row is None else ReplayRun(*row)

    def add(self, run_id: str, items: Sequence[ReplayItem]) -> int:
        """Add *items* to the selection; how many were not in it yet."""
        if not items:
            return 0
        rows = [(run_id, *item) for item in sorted(items, key=lambda item: item.mark)]
        added = execute_change(self._connection, _add(self._dialect), as_parameter(rows))
        self._connection.execute(_GROW, {"wanted": run_id, "more": added})
        return added

    def items_among(self, run_id: str, ids: Sequence[str]) -> set[str]:
        """Which of *ids* are items of the run."""
        if not ids:
            return set()
        found = select(_ITEM.item_id).where(_ITEM.run_id == run_id, _ITEM.item_id.in_(ids))
        return set(self._connection.execute(found).scalars())

    def selected(self, run_id: str) -> None:
        """The selection is whole."""
        self._connection.execute(_SELECTED, {"wanted": run_id})

    def waiting(self, run_id: str, *, limit: int) -> list[ItemMark]:
        """The next items, in their order."""
        rows = self._connection.execute(_WAITING, {"wanted": run_id, "limit": limit})
        return [(row.target, row.item_id) for row in rows]

    def record_outcomes(self, run_id: str, items: Sequence[ReplayItem]) -> None:
        """What became of items that waited: sent (a number and no outcome), or decided at once."""
        if items:
            rows = [(run_id, *item) for item in sorted(items, key=lambda item: item.mark)]
            execute_change(self._connection, _note(self._dialect), as_parameter(rows))

    def stop(self, run_id: str, why: str) -> None:
        """Send nothing more. The first reason stays."""
        self._connection.execute(_STOP, {"wanted": run_id, "why": why})

    def is_in_flight(self, run_id: str) -> bool:
        """Whether an item was sent of which nothing was heard yet."""
        return bool(self._connection.execute(_IN_FLIGHT, {"wanted": run_id}).scalar_one())

    def counts(self, run_id: str) -> ReplayCounts:
        found = {row.outcome: row.how_many for row in self._connection.execute(_COUNTS, {"wanted": run_id})}
        return ReplayCounts(
            requested=sum(found.values()),
            replayed=found.get(ReplayOutcome.REPLAYED, 0),
            skipped=found.get(ReplayOutcome.SKIPPED, 0),
            still_failed=found.get(ReplayOutcome.STILL_FAILED, 0),
            discarded=found.get(ReplayOutcome.DISCARDED, 0),
        )

    def page(self, run_id: str, *, after: ItemMark | None, limit: int) -> list[ReplayItem]:
        """The items in their order, from *after* on."""
        statement = _ITEMS
        if after is not None:
            statement = statement.where(tuple_(replay_items.c.target, replay_items.c.item_id) > tuple_(*after))
        rows = self._connection.execute(statement.limit(limit), {"wanted": run_id})
        return [ReplayItem(*row) for row in rows]


_ITEM: Final = replay_items.c
_OF_RUN: Final = _ITEM.run_id == bindparam("wanted")
# Literals, not parameters: they select a partial index only where the planner can see them.
_UNDECIDED: Final = _ITEM.outcome.is_(None)
_IS_WAITING: Final = _ITEM.replay_number.is_(None) & _UNDECIDED
_RUN: Final = select(*(replay_runs.c[name] for name in ReplayRun._fields)).where(
    replay_runs.c.run_id == bindparam("wanted")
)
_GROW: Final = (
    update(replay_runs)
    .where(replay_runs.c.run_id == bindparam("wanted"))
    .values(requested=replay_runs.c.requested + bindparam("more"))
)
_SELECTED: Final = update(replay_runs).where(replay_runs.c.run_id == bindparam("wanted")).values(is_selecting=0)
_STOP: Final = (
    update(replay_runs)
    .where(replay_runs.c.run_id == bindparam("wanted"), replay_runs.c.stopped.is_(None))
    .values(stopped=bindparam("why"))
)
_WAITING: Final = (
    select(_ITEM.target, _ITEM.item_id)
    .where(_OF_RUN, _IS_WAITING)
    .order_by(_ITEM.target, _ITEM.item_id)
    .limit(bindparam("limit"))
)
_IN_FLIGHT: Final = select(
    exists(select(literal_column("1")).where(_OF_RUN, _ITEM.replay_number.is_not(None), _UNDECIDED))
)
_COUNTS: Final[Select[*tuple[Any, ...]]] = (
    select(_ITEM.outcome, func.count().label("how_many")).where(_OF_RUN).group_by(_ITEM.outcome)
)
_ITEMS: Final = (
    select(*(_ITEM[name] for name in ReplayItem._fields)).where(_OF_RUN).order_by(_ITEM.target, _ITEM.item_id)
)
_COLUMNS: Final = ("run_id", *ReplayItem._fields)


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, replay_items, _COLUMNS).on_conflict_do_nothing()


@cache
def _note(dialect: str) -> Update:
    batch = BatchRows(dialect, replay_items, _COLUMNS)
    return (
        update(replay_items)
        .where(*(_ITEM[name] == batch.cells[name] for name in _COLUMNS[:3]), _IS_WAITING)
        .values({name: batch.cells[name] for name in _COLUMNS[3:]})
    )
