"""What a successful ``instruction.regenerate`` leaves: a version with the chosen blocks as they were written."""

import hashlib
from collections.abc import Sequence

from contracts.errors import JsonObject
from contracts.payloads.callbacks import TaskStatus
from domain.documents.merge import MISSING, merge_blocks
from domain.jobs import job_commands
from domain.jobs.job import Job
from domain.work.work import By, Failure
from handlers.documents.instruction_views import blocks_of
from handlers.documents.instructions import next_version
from handlers.documents.tasks.task_work import asked_of
from handlers.effects import Context, Effects
from handlers.jobs.job_recorder import JobRecorder
from handlers.work.tasks import Finished
from storage.documents.instructions import InstructionVersion, VersionKey
from storage.unit_of_work import UnitOfWork
from storage.work.tasks import TaskRecord


class RegenerationFinisher:
    """The regenerations that succeeded in one transaction: jobs locked, versions read, new ones written in one set."""

    def __init__(self, records: Sequence[TaskRecord], uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        ids = sorted({record.subject_id for record in records})
        jobs = {head.job_id for head in uow.instructions.latest(ids).values()}
        self._jobs: dict[str, Job] = dict(uow.jobs.locked(sorted(jobs)))
        # Asked for again once the jobs are locked: before that somebody may still write a version.
        newest = [
            VersionKey(head.instruction_id, head.latest_version) for head in uow.instructions.latest(ids).values()
        ]
        bases = [_base_of(record) for record in records]
        self._versions = dict(uow.instructions.versions(sorted({*newest, *bases})))
        self._newest = {key.instruction_id: self._versions[key] for key in newest if key in self._versions}
        self._new: list[InstructionVersion] = []
        self._recorder = JobRecorder(uow, context)

    def finish(self, record: TaskRecord, report: TaskStatus, by: By) -> Finished | Failure:
        made = report.artifacts
        if made is None or made.instruction is None:
            return MISSING
        base, newest = self._versions.get(_base_of(record)), self._newest.get(record.subject_id)
        if base is None or newest is None:
            return MISSING
        chosen = {str(block_id) for block_id in asked_of(record.request, "block_ids")}
        merged = merge_blocks(blocks_of(base.blocks), blocks_of(newest.blocks), made.instruction.blocks, chosen)
        if isinstance(merged, Failure):
            return merged
        provenance: JsonObject = {
            "task_id": record.task.task_id,
            "model": report.model,
            "prompt_hash": prompt_hash(record.request.get("prompt")),
        }
        version = next_version(newest, merged, by, provenance)
        self._newest[version.instruction_id] = version
        self._new.append(version)
        self._advance(version, by, record.trace_id)
        result: JsonObject = {"instruction_id": version.instruction_id, "version": version.version}
        return Finished(result, provenance)

    def _advance(self, version: InstructionVersion, by: By, trace_id: str) -> None:
        job = self._jobs.get(version.job_id)
        if job is not None:
            decision = job_commands.instruction_advanced(job, version.version, by)
            self._recorder.take(job, decision, trace_id)
            self._jobs[job.job_id] = decision.job

    def write(self, effects: Effects) -> None:
        self._uow.instructions.add(self._new)
        effects.outbox += self._recorder.write()
        effects.facts += self._recorder.facts


def prompt_hash(prompt: object) -> str | None:
    """SHA-256 of what the worker was told; null where it was told nothing."""
    return hashlib.sha256(prompt.encode()).hexdigest() if isinstance(prompt, str) else None


def _base_of(record: TaskRecord) -> VersionKey:
    return VersionKey(record.subject_id, int(str(record.request["base_version"])))
