"""Handing out work: the row and the message of it, both in the transaction that moves what the work is for.

Whatever decides on work (jobs, items, publications, tasks) tells the decision as an :class:`Order` with all that the
worker needs, read anew, and puts the answered messages among its own effects. Work that goes out again keeps its id:
its earlier message is taken out of the queue before the new one goes in.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from contracts import outgoing, subjects
from contracts.errors import JsonObject, JsonValue
from contracts.values.times import format_micros
from contracts.values.work import WorkType
from domain.work.work import Dispatch, Failure, Start, WorkInHand
from handlers.effects import Context
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work import SubjectKind, WorkRecord, WorkState

CALLBACK_FAMILY: Final[Mapping[SubjectKind, str]] = MappingProxyType(
    {
        SubjectKind.JOB: "job",
        SubjectKind.ITEM: "item",
        SubjectKind.PUBLICATION: "publish",
        SubjectKind.TASK: "task",
    }
)
"""Where reports on work go, by what the work is for: ``callback.<family>.<id>``."""

SUBJECT_FIELD: Final[Mapping[SubjectKind, str]] = MappingProxyType(
    {
        SubjectKind.JOB: "job_id",
        SubjectKind.ITEM: "item_id",
        SubjectKind.PUBLICATION: "post_id",
        SubjectKind.TASK: "task_id",
    }
)
"""Under which name the work message, its callbacks and everything else carry the id of what the work is for."""


class Order(Struct, frozen=True):
    """One dispatch that was decided, and what the worker is told beside what all work has.

    ``in_hand`` is the work as the decision left it. Fields of ``needs`` whose value is None are left out.
    """

    kind: SubjectKind
    subject_id: str
    dispatch: Dispatch
    in_hand: WorkInHand
    needs: Mapping[str, JsonValue]
    trace_id: str


def start(work_type: WorkType, context: Context) -> Start:
    """What a decision needs that may hand out new work of the type."""
    return Start(context.new_id(), context.work.deadline_s[work_type])


def hand_out(orders: Sequence[Order], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    """Write the rows of *orders*; answers their messages. Earlier messages of the same work are to be removed."""
    built = [build(order, context) for order in orders]
    uow.work.supersede([order.dispatch.work_id for order in orders if order.in_hand.redispatches])
    uow.work.record_dispatched(sorted(row for row, _ in built))
    for order in orders:
        dispatch = order.dispatch
        uow.note(
            "work_dispatched",
            work_id=dispatch.work_id,
            kind=str(dispatch.type),
            attempt=dispatch.attempt,
            trace_id=order.trace_id,
            **{SUBJECT_FIELD[order.kind]: order.subject_id},
        )
    return [message for _, message in built]


def build(order: Order, context: Context) -> tuple[WorkRecord, OutboxMessage]:
    """The row and the message of one dispatch."""
    message_id = context.new_id()
    dispatch = order.dispatch
    subject = subjects.work(dispatch.type)
    body = outgoing.envelope(
        dispatch.type, _payload(order, context), message_id=message_id, trace_id=order.trace_id, now=context.now
    )
    row = WorkRecord(
        work_id=dispatch.work_id,
        type=dispatch.type,
        subject_kind=order.kind,
        subject_id=order.subject_id,
        attempt=dispatch.attempt,
        redispatches=order.in_hand.redispatches,
        state=WorkState.DISPATCHED,
        deadline_s=context.work.deadline_s[dispatch.type],
        deadline_at=dispatch.deadline,
        counted_from=context.now,
        dispatched_at=context.now,
        message_id=message_id,
        stream_sequence=None,
        trace_id=order.trace_id,
        failure=None,
        created_at=context.now,
        updated_at=context.now,
    )
    message = OutboxMessage(
        message_id=message_id,
        lane=context.subjects.lane(subject),
        aggregate=f"work.{dispatch.work_id}",
        subject=context.subjects.full(subject),
        body=body,
    )
    return row, message


def _payload(order: Order, context: Context) -> JsonObject:
    reports_to = subjects.callback(CALLBACK_FAMILY[order.kind], order.subject_id)
    told: JsonObject = {name: value for name, value in order.needs.items() if value is not None}
    return {
        "work_id": order.dispatch.work_id,
        "attempt": order.dispatch.attempt,
        "deadline": format_micros(order.dispatch.deadline),
        "callback_subject": context.subjects.full(reports_to),
        SUBJECT_FIELD[order.kind]: order.subject_id,
        **told,
    }


def finish(rows: Iterable[WorkRecord], uow: UnitOfWork, context: Context, *, failure: Failure | None = None) -> None:
    """A report ended this work: done, or failed for *failure*. What may still lie in the queue for somebody to do in
    vain, or a second time, is removed."""
    ended = sorted(rows)
    uow.work.supersede([row.work_id for row in ended if _may_be_done_again(row)])
    state = WorkState.DONE if failure is None else WorkState.FAILED
    uow.work.end([row.work_id for row in ended], state, now=context.now, failure=failure)


def _may_be_done_again(row: WorkRecord) -> bool:
    """Whether it does harm when a worker that reported died before it acknowledged, and another gets the message.

    A post must not go out twice, and a failed publication or task is handed out again under a new message. The others
    are left to the worker's acknowledgement, for a removal costs two requests: what is reported of them is refused.
    """
    return row.redispatches > 0 or row.subject_kind in _HANDED_OUT_ANEW


_HANDED_OUT_ANEW: Final = frozenset({SubjectKind.PUBLICATION, SubjectKind.TASK})


def withdraw(work_ids: Sequence[str], uow: UnitOfWork, context: Context) -> None:
    """Nobody is to do this work any more: its waiting messages are removed from the queue."""
    _call_back(work_ids, WorkState.CANCELLED, uow, context, None)


def give_up(work_ids: Sequence[str], why: Failure, uow: UnitOfWork, context: Context) -> None:
    """This work has failed without a report; its waiting messages are removed from the queue."""
    _call_back(work_ids, WorkState.FAILED, uow, context, why)


def _call_back(
    work_ids: Sequence[str], state: WorkState, uow: UnitOfWork, context: Context, why: Failure | None
) -> None:
    ids = sorted(work_ids)
    uow.work.supersede(ids)
    uow.work.end(ids, state, now=context.now, failure=why)


def keep_alive(work_ids: Sequence[str], uow: UnitOfWork, context: Context) -> None:
    """Reports of progress came: the deadlines of this work move on."""
    uow.work.keep_alive(sorted(work_ids), now=context.now)
