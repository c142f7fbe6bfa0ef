"""Failed jobs run again by an operator: each gets what ``job.retry`` gives it, in its owner's name."""

from collections.abc import Sequence

from contracts.errors import Problem
from contracts.values.states import JobState
from contracts.values.work import WorkType
from domain.jobs import job_commands
from domain.jobs.job_commands import RetryIds
from domain.work.work import By
from handlers.commands.command_batch import CommandBatch
from handlers.effects import Context
from handlers.jobs.job_commands import JobAggregates
from handlers.work import dispatch as work
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork


class JobRetries:
    """Jobs under decision in one transaction; :meth:`write` writes all that was decided."""

    def __init__(self, job_ids: Sequence[str], uow: UnitOfWork, context: Context) -> None:
        self._context = context
        self._owners = {row.id: row.producer for row in uow.failed_things.jobs_of(sorted(job_ids))}
        self._desk = CommandBatch(uow, context)
        self._board = self._desk.aggregates(JobAggregates)
        for job_id, owner in sorted(self._owners.items()):
            self._board.want(job_id, owner, retry=True)
        self._desk.load()

    def replay(self, job_id: str) -> bool:
        """Make the job that goes on from the failed one; false where it is not failed, or was retried before."""
        failed = self._board.find(job_id, self._owners.get(job_id, ""))
        if failed is None or failed.status is not JobState.FAILED or self._board.retry_of(failed) is not None:
            return False
        context = self._context
        ids = RetryIds(context.new_id(), context.new_id())
        start = work.start(WorkType.JOB_PROCESS, context)
        ruling = job_commands.retry(failed, None, ids, start, By(failed.owner, context.now))
        if isinstance(ruling, Problem):
            return False
        self._board.take(None, ruling, context.new_id(), source=failed)
        return True

    def write(self) -> list[OutboxMessage]:
        """Write what was decided; answers the messages of what goes out."""
        self._desk.write()
        return self._desk.outbox
