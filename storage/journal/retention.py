"""Removing what is older than its retention, window by window along the primary key.

A window is a stretch of a table's key with a bounded number of rows: finding its end and what is old in it reads no
more than that, whichever columns the age stands in, and no transaction is long. So no table needs an index for this
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    func,
    literal_column,
    not_,
    select,
    tuple_,
)

from contracts.values.states import ExportState, ItemState, LetterState, RunStatus, TaskState
from storage.journal.outbox import FAILED
from storage.tables.alerts import alert_notifications, alert_transitions, signal_counts
from storage.tables.base import metadata
from storage.tables.content import feed_items, ideas, scripts
from storage.tables.documents import asset_pins, exports
from storage.tables.jobs import job_events, tasks
from storage.tables.journal import command_log, dead_letters, inbox, ops_runs, outbox
from storage.tables.performance import post_measurements, post_performance, post_performance_daily
from storage.tables.replays import dead_letter_discards, dead_letter_replays, imported_keys, replay_items, replay_runs
from storage.tables.sessions import session_events
from storage.tables.usage import session_usage
from storage.tables.work import callback_events, work
from storage.work.work import WorkState

Key: TypeAlias = tuple[Any, ...]
"""A primary key; its types are those of the table's columns."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What of a table may go: rows that are ``done`` and whose ``age`` is before a moment.

    ``setting`` is the key of the days; tables that hang on one another share it, what hangs on the other comes after.
    """

    setting: str
    table: Table
    age: ColumnElement[int] | None
    done: ColumnElement[bool] | None = None


class Window(NamedTuple):
    """A stretch of a table's key: after ``start`` (None: from the beginning), up to ``end`` (None: to the end)."""

    start: Key | None
    end: Key | None
    old: int


INBOX: Final = "inbox"
"""The setting that stands under ``storage.inbox_days``."""


def _gone(parent: Column[str], child: Column[str]) -> ColumnElement[bool]:
    return not_(select(literal_column("1")).where(parent == child).exists())


_IMPORTED: Final = (
    select(literal_column("1"))
    .where(imported_keys.c.kind == inbox.c.kind, imported_keys.c.message_id == inbox.c.message_id)
    .exists()
)
_EXPORTED: Final = (ExportState.SUCCEEDED, ExportState.FAILED)
_ENDED: Final = (LetterState.RESOLVED, LetterState.DISCARDED)

RETENTIONS: Final[Sequence[Retention]] = (
    # Keys of imports are kept: a second import of the same file is to find them, whenever it comes.
    Retention(INBOX, inbox, inbox.c.received_at, not_(_IMPORTED)),
    Retention("outbox", outbox, outbox.c.created_at, outbox.c.state == FAILED),
    Retention("command_log", command_log, command_log.c.created_at),
    Retention("dead_letters", dead_letters, dead_letters.c.updated_at, dead_letters.c.state.in_(_ENDED)),
    Retention(
        "dead_letters",
        dead_letter_replays,
        dead_letter_replays.c.requested_at,
        _gone(dead_letters.c.dead_letter_id, dead_letter_replays.c.dead_letter_id),
    ),
    Retention(
        "dead_letters",
        dead_letter_discards,
        dead_letter_discards.c.discarded_at,
        _gone(dead_letters.c.dead_letter_id, dead_letter_discards.c.dead_letter_id),
    ),
    Retention("ops_runs", ops_runs, ops_runs.c.ended_at, ops_runs.c.status != RunStatus.RUNNING),
    Retention("ops_runs", replay_runs, replay_runs.c.frozen_at, _gone(ops_runs.c.run_id, replay_runs.c.run_id)),
    Retention("ops_runs", replay_items, None, _gone(replay_runs.c.run_id, replay_items.c.run_id)),
    Retention("session_events", session_events, session_events.c.created_at),
    Retention("session_usage", session_usage, session_usage.c.created_at),
    Retention("alert_transitions", alert_transitions, alert_transitions.c.at),
    Retention("alert_transitions", alert_notifications, alert_notifications.c.created_at),
    Retention("signal_counts", signal_counts, signal_counts.c.minute),
    Retention("feed_items", feed_items, feed_items.c.updated_at, feed_items.c.status != ItemState.PENDING),
    Retention("ideas", ideas, ideas.c.updated_at),
    Retention("scripts", scripts, scripts.c.updated_at),
    Retention("post_performance", post_measurements, post_measurements.c.at),
    Retention("post_performance", post_performance_daily, post_performance_daily.c.at),
    Retention("post_performance", post_performance, post_performance.c.at),
    Retention("exports", exports, exports.c.updated_at, exports.c.status.in_(_EXPORTED)),
    # What they held on to; their bytes, which no row names any more, go with the sweep.
    Retention(
        "exports",
        asset_pins,
        None,
        and_(asset_pins.c.holder_kind == "export", _gone(exports.c.export_id, asset_pins.c.holder_id)),
    ),
    Retention("job_events", job_events, job_events.c.at),
    Retention("callback_events", callback_events, callback_events.c.received_at),
    Retention("work", work, work.c.updated_at, work.c.state != WorkState.DISPATCHED),
    Retention("tasks", tasks, tasks.c.updated_at, tasks.c.status.in_((TaskState.SUCCEEDED, TaskState.FAILED))),
)


class Pruning:
    """Walks through one table."""

    def __init__(self, connection: Connection, retention: Retention) -> None:
        self._connection = connection
        self._table = retention.table
        self._key = tuple(retention.table.primary_key.columns)
        self._retention = retention

    def window(self, start: Key | None, *, before: int, rows: int) -> Window:
        """The next *rows* rows after *start*, and how many of them may go."""
        end_of = select(*self._key).order_by(*self._key).offset(rows - 1).limit(1)
        if start is not None:
            end_of = end_of.where(tuple_(*self._key) > tuple_(*start))
        found = self._connection.execute(end_of).one_or_none()
        end = None if found is None else tuple(found)
        old = select(func.count()).select_from(self._table).where(*self._within(start, end), self._old(before))
        return Window(start, end, self._connection.execute(old).scalar_one())

    def remove(self, window: Window, *, before: int) -> int:
        """Remove what may go of a window; how many rows went."""
        statement = delete(self._table).where(*self._within(window.start, window.end), self._old(before))
        return self._connection.execute(statement).rowcount

    def _within(self, start: Key | None, end: Key | None) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if start is not None:
            conditions.append(tuple_(*self._key) > tuple_(*start))
        if end is not None:
            conditions.append(tuple_(*self._key) <= tuple_(*end))
        return conditions

    def _old(self, before: int) -> ColumnElement[bool]:
        age, done = self._retention.age, self._retention.done
        conditions = [condition for condition in (None if age is None else age < before, done) if condition is not None]
        return and_(*conditions)


def settings_without_rule(settings: Sequence[str]) -> set[str]:
    """Which of *settings* name a table that is there and that nothing is ever removed from: a mistake of ours."""
    ruled = {retention.setting for retention in RETENTIONS}
    return {name for name in settings if name in metadata.tables and name not in ruled}
