"""Tasks, and why work failed, as owners see them."""

from contracts.errors import JsonObject
from contracts.values.times import format_micros
from domain.work.work import Failure
from storage.work.tasks import TaskRecord


def task_view(record: TaskRecord) -> JsonObject:
    """A task; result, error and provenance only where it has them."""
    task = record.task
    view: JsonObject = {
        "task_id": task.task_id,
        "type": task.type,
        "status": task.status,
        "attempt": task.attempt,
        "version": task.version,
        "created_at": format_micros(task.created_at),
        "updated_at": format_micros(task.updated_at),
    }
    if record.result is not None:
        view["result"] = record.result
    if task.error is not None:
        view["error"] = failure_view(task.error)
    if record.provenance is not None:
        view["provenance"] = record.provenance
    return view


def failure_view(failure: Failure | None) -> JsonObject | None:
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "retryable": failure.retryable}
