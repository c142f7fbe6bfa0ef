"""Tasks: what follows from decisions on them, and what workers report of them (``task.status``).

What a success brought has to be proven, and kept where it belongs, by whoever asked for the task: a :class:`Finisher`
for its type of work. What it refuses makes the task fail; what cannot be proven within a transaction (bytes in a store)
waits beside the task until it is.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import JsonValue, Problem
from contracts.gate.delivery import Accepted
from contracts.payloads.callbacks import TaskStatus
from contracts.values.states import TaskState
from contracts.values.work import WorkType
from domain.access import NOT_FOUND
from domain.work import tasks as rules
from domain.work.tasks import TaskDecision, TaskRuling
from domain.work.work import Arrival, By, Duplicate, Failure, Held, WorkChange, known_event
from handlers.effects import Context, Effects, Fact
from handlers.status_updates import status_update
from handlers.work import dispatch as work
from handlers.work.callbacks import CallbackReport, reports_of
from handlers.work.dispatch import Order
from handlers.work.task_views import task_view
from handlers.work.work_writer import WorkWriter
from storage.journal.callback_events import CallbackEvent
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.tasks import TaskRecord
from storage.work.work import SubjectKind


class Finished(Struct, frozen=True):
    """What a proven success leaves in the task."""

    result: JsonValue = None
    provenance: JsonValue = None


class Unproven(Struct, frozen=True):
    """A success that has to be looked at before it counts: what was reported, as it is kept meanwhile."""

    reported: JsonValue


class Finisher(Protocol):
    """Proves what the tasks of one transaction brought, and keeps it."""

    def finish(self, record: TaskRecord, report: TaskStatus, by: By) -> Finished | Unproven | Failure:
        """Judge one success after the ones before it; a failure where it does not stand."""
        ...

    def write(self, effects: Effects) -> None:
        """Write what the successes brought; what tells of it goes among *effects*."""
        ...


MakeFinisher: TypeAlias = Callable[[Sequence[TaskRecord], UnitOfWork, Context], Finisher]
"""Loads all that the successes of these tasks need, in one go."""


class TaskWriter:
    """Collects the decisions on tasks of one transaction, and writes them in sets."""

    def __init__(self, uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        self._context = context
        self._records: dict[str, TaskRecord] = {}
        self._orders: dict[str, Order] = {}
        self._work = WorkWriter(uow, context)

    @property
    def facts(self) -> Sequence[Fact]:
        """What metrics learn of it, once it is written."""
        return self._work.facts

    def take(
        self, before: TaskRecord | None, after: TaskRecord, decision: TaskDecision, needs: Mapping[str, JsonValue]
    ) -> None:
        """Take a decision over: *after* is the record with the decided task, *needs* what a worker is given."""
        task = decision.task
        self._records[task.task_id] = after
        in_hand = None if before is None else before.task.work
        self._work.follow(WorkChange(in_hand, task.work, decision.dispatch, decision.withdraw, task.error))
        if decision.dispatch is not None and task.work is not None:
            order = Order(SubjectKind.TASK, task.task_id, decision.dispatch, task.work, needs, after.trace_id)
            self._orders[task.work.work_id] = order

    def write(self) -> list[OutboxMessage]:
        """Write what was decided; answers the messages that tell of it."""
        uow, context = self._uow, self._context
        uow.tasks.upsert(list(self._records.values()))
        self._work.write()
        going_out = [order for work_id, order in self._orders.items() if self._work.goes_out(work_id)]
        messages = work.hand_out(going_out, uow, context)
        return messages + [
            status_update(f"task.{each}", task_view(record), context) for each, record in self._records.items()
        ]


class TaskReports:
    """The handler of ``task.status``; *finishers* by type of work."""

    def __init__(self, finishers: Mapping[WorkType, MakeFinisher]) -> None:
        self._finishers: Final = dict(finishers)

    def __call__(self, group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
        reports = reports_of(group)
        taking = _Taking(reports, uow, context, self._finishers)
        effects = Effects()
        for index, report in enumerate(reports):
            ruling = taking.judge(report)
            if isinstance(ruling, Duplicate):
                effects.repeated.add(index)
            elif isinstance(ruling, Held):
                effects.held[index] = ruling.delay_s
            elif isinstance(ruling, Problem):
                effects.refused[index] = ruling
        taking.write(effects)
        return effects


class _Taking:
    """The reports of one batch, decided in their order."""

    def __init__(
        self,
        reports: Sequence[CallbackReport],
        uow: UnitOfWork,
        context: Context,
        finishers: Mapping[WorkType, MakeFinisher],
    ) -> None:
        self._uow = uow
        self._context = context
        # The tasks first: a transaction that waits for a lock then sees the events of the one that held it.
        self._records = dict(uow.tasks.locked(sorted({report.subject_id for report in reports})))
        self._known = dict(uow.callback_events.known("task", sorted({report.event_id for report in reports})))
        self._waiting: set[str] = set()
        self._events: list[CallbackEvent] = []
        self._writer = TaskWriter(uow, context)
        self._finishers = self._made(reports, finishers)

    def _made(
        self, reports: Sequence[CallbackReport], finishers: Mapping[WorkType, MakeFinisher]
    ) -> Mapping[WorkType, Finisher]:
        """The finishers of the types of which something succeeded."""
        succeeded = {report.subject_id for report in reports if _said(report).status is TaskState.SUCCEEDED}
        by_type: defaultdict[WorkType, list[TaskRecord]] = defaultdict(list)
        for task_id in sorted(succeeded & self._records.keys()):
            by_type[self._records[task_id].task.type].append(self._records[task_id])
        return {each: finishers[each](records, self._uow, self._context) for each, records in by_type.items()}

    def judge(self, report: CallbackReport) -> TaskRuling | Duplicate:
        if (known_hash := self._known.get(report.event_id)) is not None:
            return known_event(known_hash, report.event_hash)
        record = self._records.get(report.subject_id)
        if record is None:
            return NOT_FOUND
        ruling = self._decide(record, report)
        if isinstance(ruling, Held):
            self._waiting.add(report.subject_id)
        elif isinstance(ruling, TaskDecision):
            self._accept(record, report, ruling)
        return ruling

    def _decide(self, record: TaskRecord, report: CallbackReport) -> TaskRuling:
        delivery, context = report.accepted.delivery, self._context
        older = context.older_outstanding or report.subject_id in self._waiting
        arrival = Arrival(delivery.stored_at, context.now, older, context.work.reorder_s)
        deadline_s = context.work.deadline_s[record.task.type]
        return rules.decide_task(record.task, _said(report), arrival, deadline_s, self._by(report))

    def _accept(self, before: TaskRecord, report: CallbackReport, decision: TaskDecision) -> None:
        after = replace(before, task=decision.task, reported=None)
        if decision.task.status is TaskState.SUCCEEDED:
            after = self._finished(before, after, report)
        self._records[report.subject_id] = after
        self._known[report.event_id] = report.event_hash
        self._events.append(report.event(self._context.now))
        self._writer.take(before, after, replace(decision, task=after.task), {})

    def _finished(self, before: TaskRecord, after: TaskRecord, report: CallbackReport) -> TaskRecord:
        by = self._by(report)
        outcome = self._finishers[after.task.type].finish(after, _said(report), by)
        if isinstance(outcome, Finished):
            return replace(after, result=outcome.result, provenance=outcome.provenance)
        if isinstance(outcome, Unproven):
            deadline_s = self._context.work.deadline_s[after.task.type]
            waiting = rules.unproven(before.task, after.task, deadline_s, by)
            return replace(after, task=waiting.task, reported=outcome.reported)
        failed = replace(after.task, status=TaskState.FAILED, error=outcome)
        return replace(after, task=failed)

    def _by(self, report: CallbackReport) -> By:
        return By(report.accepted.producer, self._context.now)

    def write(self, effects: Effects) -> None:
        self._uow.callback_events.add(self._events)
        for finisher in self._finishers.values():
            finisher.write(effects)
        effects.outbox += self._writer.write()
        effects.facts += self._writer.facts


def _said(report: CallbackReport) -> TaskStatus:
    assert isinstance(report.payload, TaskStatus)  # noqa: S101 - the registry ties the model to the kind
    return report.payload
