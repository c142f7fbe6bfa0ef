"""Work that was handed out: its standing, its deadline, and where its one message lies.

A message whose work went on without it (handed out again, cancelled, given up) is put down in ``work_removals``, and
the relay of work takes it out of the stream before anything newer goes in: at most one message of a work lies there.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Select,
    Update,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    update,
)

from contracts.values.times import MICROS_PER_SECOND
from contracts.values.work import WorkType
from domain.work.work import Failure, WorkInHand
from storage.engine.answers import Answer, AnswerRow
from storage.engine.batches import BatchRows, Scalar, UpsertInsert, as_parameter, insert_into, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failure_text import failure_text, read_failure
from storage.engine.upserts import larger
from storage.journal.outbox import PENDING
from storage.tables.journal import outbox
from storage.tables.work import work, work_removals


class WorkState(StrEnum):
    DISPATCHED = "dispatched"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SubjectKind(StrEnum):
    """What work is for."""

    JOB = "job"
    ITEM = "item"
    PUBLICATION = "publication"
    TASK = "task"


class WorkRecord(NamedTuple):
    """A piece of work. Times are microseconds since the epoch.

    ``attempt`` is the number that its newest message carries, ``redispatches`` how often it went out again.
    ``counted_from`` is since when its time runs: later than ``dispatched_at`` after a sign of life, and where for a
    while nobody took work of its type. ``stream_sequence`` is where the message lies, once that is known.
    """

    work_id: str
    type: WorkType
    subject_kind: SubjectKind
    subject_id: str
    attempt: int
    redispatches: int
    state: WorkState
    deadline_s: float
    deadline_at: int
    counted_from: int
    dispatched_at: int
    message_id: str
    stream_sequence: int | None
    trace_id: str
    failure: Failure | None
    created_at: int
    updated_at: int


class WorkMessage(NamedTuple):
    """A message of work on its way or in its stream, where it was published at ``not_before`` or later, if at all."""

    message_id: str
    type: str
    stream_sequence: int | None
    not_before: int


class WorkRepository:
    """The ``work`` and ``work_removals`` tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    # -- handing out

    def record_dispatched(self, rows: Sequence[WorkRecord]) -> None:
        """Note that *rows* are handed out. One whose id is known is handed out again: :meth:`supersede` it before."""
        if rows:
            execute_change(self._connection, _put(self._dialect), as_parameter(map(_columns, rows)))

    def supersede(self, work_ids: Sequence[str]) -> None:
        """Have the messages of *work_ids* removed, be they in the outbox, in their stream or on the way."""
        if work_ids:
            these = as_parameter(_alone(work_ids))
            execute_change(self._connection, _note_removals(self._dialect), these)
            execute_change(self._connection, _withdraw(self._dialect), these)

    def end(self, work_ids: Sequence[str], state: WorkState, *, now: int, failure: Failure | None = None) -> None:
        """Nobody is to work on *work_ids* any more. What has ended before stays as it is."""
        if work_ids:
            parameters = as_parameter(_alone(work_ids)) | {"to": state, "now": now, "why": failure_text(failure)}
            execute_change(self._connection, _end(self._dialect), parameters)

    def keep_alive(self, work_ids: Sequence[str], *, now: int) -> None:
        """A sign of life: the time of *work_ids* starts anew, and no deadline comes nearer by it."""
        if work_ids:
            execute_change(self._connection, _keep_alive(self._dialect), as_parameter(_alone(work_ids)) | {"now": now})

    # -- asking

    def get_many(self, work_ids: Sequence[str]) -> Mapping[str, WorkRecord]:
        """The rows of *work_ids*, in hand or not."""
        if not work_ids:
            return {}
        rows = _by_id(self._dialect).rows(self._connection, as_parameter(_alone(work_ids)))
        return {row.work_id: _record(row) for row in rows}

    def overdue(self, *, now: int, limit: int, kinds: Sequence[str]) -> list[WorkRecord]:
        """Work in hand for subjects of *kinds* whose deadline is past, the longest first.

        What has not reached its stream could not be taken by anybody and is not overdue.
        """
        statement = (
            select(*_ALL)
            .where(_IN_HAND, _STORED, work.c.deadline_at <= now, work.c.subject_kind.in_(kinds))
            .order_by(work.c.deadline_at)
            .limit(limit)
        )
        return [_record(row) for row in self._connection.execute(statement)]

    def silent(self, work_type: str, *, since: int, limit: int) -> list[WorkRecord]:
        """Work in hand of a type whose time has run since *since* or longer, the longest first."""
        statement = (
            select(*_ALL)
            .where(_IN_HAND, _STORED, work.c.type == work_type, work.c.counted_from <= since)
            .order_by(work.c.counted_from)
            .limit(limit)
        )
        return [_record(row) for row in self._connection.execute(statement)]

    def in_hand_by_type(self) -> Mapping[str, int]:
        """How much work of each type is in hand."""
        rows = self._connection.execute(_IN_HAND_BY_TYPE)
        return {row.type: row.how_many for row in rows}

    def stand_still(self, work_type: str, *, since: int, until: int) -> None:
        """Give back the time between, in which nobody took work of the type."""
        lost = until - larger(work.c.counted_from, literal(since))
        statement = (
            update(work)
            .where(_IN_HAND, work.c.type == work_type, work.c.counted_from < until)
            .values(deadline_at=work.c.deadline_at + lost, counted_from=work.c.counted_from + lost)
        )
        self._connection.execute(statement)

    # -- messages on their way

    def record_arrivals(self, messages: Sequence[WorkMessage], *, now: int) -> None:
        """What the stream said of *messages*: stored under a sequence, or nothing that could be relied on.

        Those whose work has gone on without them meanwhile are to be removed. Where a message was long on its way, the
        time of its work begins with its arrival.
        """
        if messages:
            batch = as_parameter(messages) | {"now": now, "long_ago": now - _PROMPT}
            current = {row.message_id for row in self._connection.execute(_note(self._dialect), batch)}
            late = [message for message in messages if message.message_id not in current]
            if late:
                execute_change(self._connection, _remove_later(self._dialect), as_parameter(late))

    def list_removals(self, *, limit: int) -> list[WorkMessage]:
        """Messages that are to leave their stream."""
        return [WorkMessage(*row) for row in self._connection.execute(_REMOVALS, {"limit": limit})]

    def record_removed(self, message_ids: Sequence[str]) -> None:
        """These are out of their stream, or never came into it."""
        if message_ids:
            execute_change(self._connection, _removed(self._dialect), as_parameter(_alone(message_ids)))


def _columns(record: WorkRecord) -> tuple[Scalar, ...]:
    return (
        record.work_id, record.type, record.subject_kind, record.subject_id, record.attempt, record.redispatches,
        record.state, record.deadline_s, record.deadline_at, record.counted_from, record.dispatched_at,
        record.message_id, record.stream_sequence, record.trace_id, failure_text(record.failure), record.created_at,
        record.updated_at,
    )  # fmt: skip


def _record(row: AnswerRow) -> WorkRecord:
    return WorkRecord(*row)._replace(
        type=WorkType(row.type),
        subject_kind=SubjectKind(row.subject_kind),
        state=WorkState(row.state),
        failure=read_failure(row.failure),
    )


def work_in_hand(record: WorkRecord | None) -> WorkInHand | None:
    """The work as decisions know it; None where it has ended."""
    if record is None or record.state is not WorkState.DISPATCHED:
        return None
    return WorkInHand(record.work_id, record.type, record.deadline_at, record.redispatches)


def _alone(ids: Sequence[str]) -> list[tuple[str]]:
    return [(each,) for each in ids]


_ALL: Final = tuple(work.c[name] for name in WorkRecord._fields)
# Literals, not parameters: they select a partial index only where the planner can see them.
_IN_HAND: Final = work.c.state == literal_column(f"'{WorkState.DISPATCHED}'")
_STORED: Final = work.c.stream_sequence.is_not(None)
_IN_HAND_BY_TYPE: Final[Select[str, int]] = (
    select(work.c.type, func.count().label("how_many")).where(_IN_HAND).group_by(work.c.type)
)
_REMOVALS: Final[Select[*tuple[Any, ...]]] = select(*(work_removals.c[name] for name in WorkMessage._fields)).limit(
    bindparam("limit")
)
_PROMPT: Final = 10 * MICROS_PER_SECOND
"""How long a message may be on its way without its work being given the time."""
_KEPT: Final = ("work_id", "type", "subject_kind", "subject_id", "created_at")
"""What handing out again does not change."""


def _moment(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=work.c.deadline_at.type)


def _until(now: ColumnElement[int]) -> ColumnElement[int]:
    return now + cast(work.c.deadline_s * MICROS_PER_SECOND, work.c.deadline_at.type)


def _these(dialect: str) -> ColumnElement[bool]:
    return BatchRows(dialect, work, ("work_id",)).contains


@cache
def _put(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, work, WorkRecord._fields)
    changing = [name for name in WorkRecord._fields if name not in _KEPT]
    return statement.on_conflict_do_update(
        index_elements=["work_id"], set_={name: statement.excluded[name] for name in changing}
    )


@cache
def _note_removals(dialect: str) -> UpsertInsert:
    superseded = select(work.c.message_id, work.c.type, work.c.stream_sequence, work.c.dispatched_at).where(
        _IN_HAND, _these(dialect)
    )
    return (
        insert_into(dialect, work_removals)
        .from_select(list(WorkMessage._fields), superseded, include_defaults=False)
        .on_conflict_do_nothing()
    )


@cache
def _withdraw(dialect: str) -> Delete:
    messages = select(work.c.message_id).where(_IN_HAND, _these(dialect))
    return delete(outbox).where(outbox.c.state == PENDING, outbox.c.message_id.in_(messages))


@cache
def _end(dialect: str) -> Update:
    return (
        update(work)
        .where(_IN_HAND, _these(dialect))
        .values(state=bindparam("to"), failure=bindparam("why"), updated_at=bindparam("now"))
    )


@cache
def _keep_alive(dialect: str) -> Update:
    now = _moment("now")
    return (
        update(work)
        .where(_IN_HAND, _these(dialect))
        .values(deadline_at=larger(work.c.deadline_at, _until(now)), counted_from=now, updated_at=now)
    )


@cache
def _by_id(dialect: str) -> Answer:
    return Answer(dialect, select(*_ALL).where(_these(dialect)))


@cache
def _note(dialect: str) -> Update:
    batch = BatchRows(dialect, work, ("message_id", "type", "stream_sequence"))
    now = _moment("now")
    late = and_(work.c.stream_sequence.is_(None), work.c.counted_from < _moment("long_ago"))
    return (
        update(work)
        .where(
            work.c.message_id == batch.cells["message_id"],
            work.c.state.in_((WorkState.DISPATCHED, WorkState.DONE)),
        )
        .values(
            stream_sequence=func.coalesce(batch.cells["stream_sequence"], work.c.stream_sequence),
            deadline_at=case((late, larger(work.c.deadline_at, _until(now))), else_=work.c.deadline_at),
            counted_from=case((late, now), else_=work.c.counted_from),
        )
        .returning(work.c.message_id)
    )


@cache
def _remove_later(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, work_removals, WorkMessage._fields)
    return statement.on_conflict_do_update(
        index_elements=["message_id"],
        set_={"stream_sequence": func.coalesce(statement.excluded.stream_sequence, work_removals.c.stream_sequence)},
    )


@cache
def _removed(dialect: str) -> Delete:
    return delete(work_removals).where(BatchRows(dialect, work_removals, ("message_id",)).contains)
