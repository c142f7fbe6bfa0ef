"""``jobs``: the jobs of all owners, for operators."""

from contracts.errors import JsonObject
from contracts.payloads.operations import questions as asked
from domain.jobs.job import Job
from handlers.commands.command import Command, Reply, ok, payload_of
from handlers.commands.pages import cursor, page, read_cursor
from handlers.effects import Context
from handlers.jobs.job_views import job_view
from storage.questions.all_jobs import JobFilter
from storage.unit_of_work import UnitOfWork


def list_all_jobs(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """Newest first, with the counts by status over the same filters without the status."""
    wanted = payload_of(command, asked.Jobs)
    mark = read_cursor("all_jobs", wanted.cursor, str)
    filtered = JobFilter(wanted.status, wanted.project_id, wanted.owner, wanted.since)
    before = None if mark is None else str(mark[0])
    rows = uow.all_jobs.page(filtered, before=before, limit=wanted.limit + 1)
    found = page(rows, wanted.limit, _view, lambda job: cursor("all_jobs", job.job_id), context)
    counts: JsonObject = {str(status): count for status, count in uow.all_jobs.counts(filtered).items()}
    return ok({**found, "counts": counts})


def _view(job: Job) -> JsonObject:
    return {**job_view(job), "owner": job.owner}
