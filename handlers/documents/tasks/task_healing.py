"""Tasks that stopped: handed out again past their deadline, and failed ones when an operator asks for it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from contracts.values.principals import SYSTEM
from domain.work import tasks as rules
from domain.work.tasks import TaskDecision
from domain.work.work import By, Failure, Overdue
from handlers.documents.tasks.task_commands import again
from handlers.documents.tasks.task_work import TaskRecorder
from handlers.effects import Context
from handlers.work import dispatch as work
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork


class HealedTask(NamedTuple):
    task_id: str
    ruling: Overdue


def heal_tasks(
    task_ids: Sequence[str], uow: UnitOfWork, context: Context
) -> tuple[list[HealedTask], list[OutboxMessage]]:
    """Hand out again what is past its deadline, or give it up; what was done, and the messages of it."""
    recorder, healed = TaskRecorder(uow, context), list[HealedTask]()
    for task_id, record in uow.tasks.locked(sorted(task_ids)).items():
        decision = rules.overdue(
            record.task,
            at=context.now,
            deadline_s=context.work.deadline_s[record.task.type],
            max_attempts=context.work.max_attempts,
        )
        if decision.changed:
            recorder.take(record, replace(record, task=decision.task, reported=None), decision)
            healed.append(HealedTask(task_id, _ruling(decision)))
    return healed, recorder.write()


def give_up_tasks(reasons: Mapping[str, Failure], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    """Nobody will do the work of these tasks: they have failed, each for its reason; the messages that tell of it."""
    recorder, by = TaskRecorder(uow, context), By(SYSTEM, context.now)
    for task_id, record in uow.tasks.locked(sorted(reasons)).items():
        decision = rules.given_up(record.task, reasons[task_id], by)
        recorder.take(record, replace(record, task=decision.task, reported=None), decision)
    return recorder.write()


def _ruling(decision: TaskDecision) -> Overdue:
    return Overdue.GIVE_UP if decision.dispatch is None else Overdue.AGAIN


class TaskReplays:
    """Tasks under decision in one transaction; :meth:`write` writes all that was decided."""

    def __init__(self, task_ids: Sequence[str], uow: UnitOfWork, context: Context) -> None:
        self._context = context
        self._records = dict(uow.tasks.locked(sorted(task_ids)))
        self._recorder = TaskRecorder(uow, context)

    def replay(self, task_id: str) -> bool:
        """Give a failed task a new attempt; false where it is not failed."""
        record = self._records.get(task_id)
        if record is None:
            return False
        by = By(record.task.owner, self._context.now)
        decision = rules.request_again(record.task, work.start(record.task.type, self._context), by)
        self._records[task_id] = after = again(record, decision)
        self._recorder.take(record, after, decision)
        return decision.changed

    def write(self) -> list[OutboxMessage]:
        return self._recorder.write()
