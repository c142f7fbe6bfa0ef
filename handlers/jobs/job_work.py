"""What a worker is told when work for a job is handed out: read anew each time, for a job may have gone on."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import JsonObject, JsonValue
from contracts.values.work import WorkType
from domain.jobs.job import Job
from domain.work.work import Dispatch, WorkInHand
from handlers.content.ideas_and_scripts import scripts_for_work
from handlers.effects import Context
from handlers.jobs.job_views import scene_view
from handlers.work.dispatch import Order, hand_out
from handlers.work.films import films_for_work
from storage.documents.instructions import InstructionVersion, VersionKey
from storage.jobs.artifacts import Scene
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work import SubjectKind


@dataclass(frozen=True, slots=True)
class JobDispatch:
    """Work for a job as its decision left it."""

    job: Job
    dispatch: Dispatch
    trace_id: str


def hand_out_for_jobs(dispatches: Sequence[JobDispatch], uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    """Hand out the work of *dispatches*; answers its messages."""
    if not dispatches:
        return []
    rendered = [each.job for each in dispatches if each.dispatch.type is WorkType.JOB_RENDER]
    approved = [key for job in rendered if (key := _approved_version(job)) is not None]
    versions = uow.instructions.versions(sorted(approved))
    scenes = uow.artifacts.scenes(sorted(job.job_id for job in rendered))
    processed = [each.job for each in dispatches if each.dispatch.type is not WorkType.JOB_RENDER]
    scripts = scripts_for_work([job.script_id for job in processed], uow)
    films = films_for_work(
        sorted({(job.video_uri, job.owner) for job in (each.job for each in dispatches) if job.video_uri is not None}),
        uow,
        context,
    )
    orders: list[Order] = []
    for each in dispatches:
        job = each.job
        film = None if job.video_uri is None else films[job.video_uri, job.owner]
        if each.dispatch.type is WorkType.JOB_RENDER:
            key = _approved_version(job)
            needs = _to_render(None if key is None else versions.get(key), scenes.get(job.job_id, ()), film)
        else:
            needs = _to_process(job, scripts.get(job.script_id), film)
        orders.append(
            Order(SubjectKind.JOB, job.job_id, each.dispatch, _in_hand(job, each.dispatch), needs, each.trace_id)
        )
    return hand_out(orders, uow, context)


def _in_hand(job: Job, dispatch: Dispatch) -> WorkInHand:
    if job.work is None or job.work.work_id != dispatch.work_id:
        raise ValueError("work is handed out that the job has not in hand")
    return job.work


def _approved_version(job: Job) -> VersionKey | None:
    if job.instruction_id is None or job.approval is None:
        return None
    return VersionKey(job.instruction_id, job.approval.version)


def _to_process(job: Job, script: JsonObject | None, film: str | None) -> JsonObject:
    return {
        "video_uri": film,
        "script": script,
        "prompt": job.prompt,
        "checkpoint": job.checkpoint,
        "objective": job.objective,
    }


def _to_render(version: InstructionVersion | None, scenes: Sequence[Scene], film: str | None) -> JsonObject:
    blocks: list[JsonValue] = [] if version is None else [*version.blocks]
    return {
        "instruction": {"version": 0 if version is None else version.version, "blocks": blocks},
        "storyboard": [scene_view(scene) for scene in scenes] or None,
        "video_uri": film,
    }
