"""What a worker is given for a task, read anew each time it is handed out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.errors import JsonObject, JsonValue
from contracts.values.work import WorkType
from domain.work.tasks import Task, TaskDecision
from handlers.documents.instruction_views import as_values
from handlers.effects import Context
from handlers.work.films import films_for_work
from handlers.work.tasks import TaskWriter
from storage.documents.instructions import VersionKey
from storage.jobs.projects import Owned
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.tasks import TaskRecord


@dataclass(frozen=True, slots=True)
class _Decided:
    before: TaskRecord | None
    after: TaskRecord
    decision: TaskDecision


class TaskRecorder:
    """Decisions on tasks of one transaction; :meth:`write` reads what their workers need, and writes all of them."""

    def __init__(self, uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        self._context = context
        self._writer = TaskWriter(uow, context)
        self._decided: list[_Decided] = []

    def take(self, before: TaskRecord | None, after: TaskRecord, decision: TaskDecision) -> None:
        """Keep a decision; *after* is the record with the decided task."""
        if decision.changed:
            self._decided.append(_Decided(before, after, decision))

    def write(self) -> list[OutboxMessage]:
        if not self._decided:
            return []
        needs = needs_of(
            [each.after for each in self._decided if each.decision.dispatch is not None], self._uow, self._context
        )
        for each in self._decided:
            self._writer.take(each.before, each.after, each.decision, needs.get(each.after.task.task_id, {}))
        return self._writer.write()


def needs_of(records: Sequence[TaskRecord], uow: UnitOfWork, context: Context) -> Mapping[str, Mapping[str, JsonValue]]:
    """By task, what its worker needs beside what all work has."""
    keys = {
        record.task.task_id: _base(record) for record in records if record.task.type is WorkType.INSTRUCTION_REGENERATE
    }
    versions = uow.instructions.versions(sorted(set(keys.values())))
    extractions = [record for record in records if record.task.task_id not in keys]
    films = films_for_work(sorted({_film(record) for record in extractions}), uow, context)
    needs: dict[str, Mapping[str, JsonValue]] = {}
    for record in records:
        task = record.task
        if (key := keys.get(task.task_id)) is None:
            video_uri = films[_film(record)]
            needs[task.task_id] = {**record.request, "video_uri": video_uri, "object_prefix": object_prefix(task)}
        else:
            blocks = as_values(versions[key].blocks) if key in versions else []
            needs[task.task_id] = {**record.request, "blocks": blocks}
    return needs


def _film(record: TaskRecord) -> Owned:
    """The film of an extraction, and its owner."""
    return str(record.request["video_uri"]), record.task.owner


def object_prefix(task: Task) -> str:
    """Below which name the worker puts its pictures: another one at each attempt, so that none overwrites another's."""
    return f"tasks/{task.task_id}/{task.attempt}/"


def extracted_asset(record: TaskRecord) -> str | None:
    """The first picture of an extraction that succeeded."""
    result = record.result
    assets = result.get("assets") if isinstance(result, dict) else None
    first = assets[0] if isinstance(assets, list) and assets else None
    return str(first["asset_id"]) if isinstance(first, dict) else None


def _base(record: TaskRecord) -> VersionKey:
    return VersionKey(record.subject_id, int(str(record.request["base_version"])))


def asked_of(request: JsonObject, name: str) -> Sequence[JsonValue]:
    """A list that a request holds."""
    value = request[name]
    assert isinstance(value, list)  # noqa: S101 - requests are written by ourselves
    return value
