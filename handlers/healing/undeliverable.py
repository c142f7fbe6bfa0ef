"""Messages that the broker refuses for good: what waits for their effect is told at once.

A dead letter whose replay cannot be sent is open again, with the reason; work that cannot be handed out has failed, and
with it what it was for. Anything else only stays set aside. The alert
``outbox_refused`` counts all of them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from contracts.errors import ErrorCode, problem
from contracts.gate.delivery import Lineage
from contracts.values.principals import SYSTEM
from domain.jobs import job_commands
from domain.work.work import By, Failure, undeliverable
from handlers.alerts.counting import count, outbox_refused
from handlers.content.items import ItemRecorder
from handlers.content.publications import PublicationRecorder
from handlers.documents.tasks.task_healing import give_up_tasks
from handlers.effects import Context
from handlers.jobs.job_recorder import JobRecorder
from handlers.replays.replays import lineage_of, open_again
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work import SubjectKind, WorkState

_WORK: Final = "work."


class RefusedMessage(Struct, frozen=True):
    """A message that the broker will never store, and why, in its words."""

    message: OutboxMessage
    reason: str


def tell_waiting(refused: Sequence[RefusedMessage], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    """Tell whoever waits for *refused*, and put what follows from it in line; answers the messages."""
    _open_letters(refused, uow, context)
    messages = _fail_work(refused, uow, context)
    uow.outbox.add(messages, owner=context.daemon_id, now=context.now)
    count([outbox_refused(each.message.lane, each.message.message_id, each.reason) for each in refused], uow, context)
    return messages


def _open_letters(refused: Sequence[RefusedMessage], uow: UnitOfWork, context: Context) -> None:
    by_reason: defaultdict[str, list[Lineage]] = defaultdict(list)
    for each in refused:
        if (lineage := lineage_of(each.message.headers)) is not None:
            by_reason[each.reason].append(lineage)
    for reason, lineages in by_reason.items():
        why = problem(ErrorCode.UPSTREAM_FAILED, f"the broker refuses the replay: {reason}")
        open_again(lineages, why, uow, context)


def _fail_work(refused: Sequence[RefusedMessage], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    reasons = {
        each.message.aggregate.removeprefix(_WORK): each for each in refused if each.message.aggregate.startswith(_WORK)
    }
    failed: defaultdict[str, dict[str, Failure]] = defaultdict(dict)
    for row in uow.work.get_many(sorted(reasons)).values():
        # A work that goes out again meanwhile has another message.
        if row.state == WorkState.DISPATCHED and row.message_id == reasons[row.work_id].message.message_id:
            failed[row.subject_kind][row.subject_id] = undeliverable(reasons[row.work_id].reason)
    return [
        *_fail_jobs(failed[SubjectKind.JOB], uow, context),
        *_fail_items(failed[SubjectKind.ITEM], uow, context),
        *_fail_publications(failed[SubjectKind.PUBLICATION], uow, context),
        *give_up_tasks(failed[SubjectKind.TASK], uow, context),
    ]


def _fail_jobs(failed: Mapping[str, Failure], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    jobs, recorder, by = uow.jobs.locked(sorted(failed)), JobRecorder(uow, context), By(SYSTEM, context.now)
    work = uow.work.get_many(sorted(job.work.work_id for job in jobs.values() if job.work is not None))
    for job in jobs.values():
        if job.work is not None:
            decision = job_commands.given_up(job, failed[job.job_id], by)
            recorder.take(job, decision, work[job.work.work_id].trace_id)
    return recorder.write()


def _fail_items(failed: Mapping[str, Failure], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    recorder = ItemRecorder(failed, uow, context)
    for item_id, why in failed.items():
        recorder.give_up(item_id, why)
    return recorder.write()


def _fail_publications(failed: Mapping[str, Failure], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    recorder = PublicationRecorder.locked(list(failed), uow, context)
    for post_id, why in failed.items():
        recorder.give_up(post_id, why)
    return recorder.write()
