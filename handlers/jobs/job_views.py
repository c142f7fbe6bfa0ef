"""Jobs, projects and tasks as their owners see them."""

from contracts.errors import JsonObject
from contracts.values.money import format_usd
from contracts.values.times import format_micros
from domain.jobs.job import AuditEvent, Job
from handlers.work.task_views import failure_view
from storage.jobs.artifacts import Scene
from storage.jobs.projects import Project


def project_view(project: Project) -> JsonObject:
    return {
        "project_id": project.project_id,
        "name": project.name,
        "created_at": format_micros(project.created_at),
    }


def job_view(job: Job) -> JsonObject:
    """The view of commands and of the status bucket. Who approved is told while the approval counts."""
    approval = job.approval if job.approved else None
    estimated = job.estimated_cost_usd_micros
    return {
        "job_id": job.job_id,
        "project_id": job.project_id,
        "title": job.title,
        "status": job.status,
        "progress": _number(job.progress),
        "approved": approval is not None,
        "approved_by": None if approval is None else approval.by,
        "approved_at": None if approval is None else format_micros(approval.at),
        "retry_of": job.retry_of,
        "attempt": job.attempt,
        "dispatches": job.dispatch_attempt,
        "instruction_id": job.instruction_id,
        "video_uri": job.video_uri,
        "video_url": job.video_url,
        "estimated_cost_usd": None if estimated is None else format_usd(estimated),
        "actual_cost_usd": format_usd(job.actual_cost_usd_micros),
        "error": failure_view(job.error),
        "version": job.version,
        "created_at": format_micros(job.created_at),
        "updated_at": format_micros(job.updated_at),
    }


def audit_view(event: AuditEvent) -> JsonObject:
    return {
        "version": event.version,
        "who": event.actor,
        "what": event.what,
        "when": format_micros(event.at),
        "from": event.from_state,
        "to": event.to_state,
        "details": dict(event.details),
    }


def scene_view(scene: Scene) -> JsonObject:
    view: JsonObject = {"scene": scene.scene, "text": scene.text, "duration_s": _number(scene.duration_s)}
    return view if scene.image_url is None else {**view, "image_url": scene.image_url}


def _number(value: float) -> int | float:
    """Whole numbers as they were written: the database keeps all of them as fractions."""
    return int(value) if value == int(value) else value
