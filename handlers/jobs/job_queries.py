"""Questions about projects, jobs and tasks. Whose they are is part of each lookup: what is another's is not found."""

from contracts.errors import JsonObject
from contracts.payloads.commands import jobs as asked
from domain.jobs.job import AuditEvent, Job
from domain.jobs.job_commands import readable
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor
from handlers.effects import Context
from handlers.jobs.job_views import audit_view, job_view, project_view, scene_view
from handlers.work.task_views import task_view
from storage.jobs.artifacts import Segment, SegmentKey
from storage.jobs.projects import Project
from storage.unit_of_work import UnitOfWork


def get_project(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``project.get``"""
    project_id, owner = payload_of(command, asked.ProjectGet).project_id, command.principal.owner
    project = uow.projects.owned([(project_id, owner)]).get(project_id)
    return refuse(NOT_FOUND) if project is None else ok(project_view(project))


def list_projects(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``project.list``: the caller's, newest first."""
    wanted = payload_of(command, asked.ProjectList)
    mark = read_cursor("projects", wanted.cursor, str)
    rows = uow.projects.page(
        command.principal.owner, before=None if mark is None else str(mark[0]), limit=wanted.limit + 1
    )

    def place(project: Project) -> str:
        return cursor("projects", project.project_id)

    return ok(page(rows, wanted.limit, project_view, place, context))


def get_job(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``job.get``"""
    job = uow.jobs.get(payload_of(command, asked.JobGet).job_id, owner=command.principal.owner)
    return refuse(NOT_FOUND) if job is None else ok(job_view(job))


def list_jobs(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``job.list``: those of one project, newest first."""
    wanted, owner = payload_of(command, asked.JobList), command.principal.owner
    mark = read_cursor("jobs", wanted.cursor, str)
    if not uow.projects.owned([(wanted.project_id, owner)]):
        return refuse(NOT_FOUND)
    rows = uow.jobs.page(
        wanted.project_id,
        owner=owner,
        status=wanted.status,
        before=None if mark is None else str(mark[0]),
        limit=wanted.limit + 1,
    )

    def place(job: Job) -> str:
        return cursor("jobs", job.job_id)

    return ok(page(rows, wanted.limit, job_view, place, context))


def get_history(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``job.history``: every transition, newest first."""
    wanted = payload_of(command, asked.JobHistory)
    mark = read_cursor("history", wanted.cursor, int)
    if uow.jobs.get(wanted.job_id, owner=command.principal.owner) is None:
        return refuse(NOT_FOUND)
    rows = uow.jobs.history(wanted.job_id, before=None if mark is None else int(mark[0]), limit=wanted.limit + 1)

    def place(event: AuditEvent) -> str:
        return cursor("history", event.version)

    return ok(page(rows, wanted.limit, audit_view, place, context))


def get_transcript(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``job.transcript``: the segments in their order, numbered from 1."""
    wanted = payload_of(command, asked.JobTranscript)
    mark = read_cursor("transcript", wanted.cursor, int, int, int, int)
    job = uow.jobs.get(wanted.job_id, owner=command.principal.owner)
    if job is None:
        return refuse(NOT_FOUND)
    before, after = (0, None) if mark is None else (int(mark[0]), SegmentKey(*map(int, mark[1:])))
    rows = uow.artifacts.segments(wanted.job_id, after=after, limit=wanted.limit + 1)
    if (unreadable := readable(job, exists=bool(rows) or after is not None)) is not None:
        return refuse(unreadable)
    numbered = list(enumerate(rows, before + 1))
    return ok(page(numbered, wanted.limit, _segment_view, _segment_place, context))


def _segment_view(numbered: tuple[int, Segment]) -> JsonObject:
    number, segment = numbered
    return {"segment": number, "start_ms": segment.start_ms, "end_ms": segment.end_ms, "text": segment.text}


def _segment_place(numbered: tuple[int, Segment]) -> str:
    number, segment = numbered
    return cursor("transcript", number, *segment.key)


def get_storyboard(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``job.storyboard``: all scenes in their order."""
    job_id = payload_of(command, asked.JobStoryboard).job_id
    job = uow.jobs.get(job_id, owner=command.principal.owner)
    if job is None:
        return refuse(NOT_FOUND)
    scenes = uow.artifacts.scenes([job_id]).get(job_id, ())
    if (unreadable := readable(job, exists=bool(scenes))) is not None:
        return refuse(unreadable)
    whole = page(scenes, len(scenes), scene_view, lambda _scene: "", context)
    if whole["next_cursor"] is not None:
        return ok({**whole, "next_cursor": None, "truncated": True})
    return ok(whole)


def get_task(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``task.get``"""
    record = uow.tasks.get(payload_of(command, asked.TaskGet).task_id, owner=command.principal.owner)
    return refuse(NOT_FOUND) if record is None else ok(task_view(record))
