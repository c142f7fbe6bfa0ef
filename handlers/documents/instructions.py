"""The instructions of one transaction: found by their owner, locked through their job, written as new versions.

Whoever writes a version holds the lock of its job: so versions are numbered without gaps, and a job that has not ended
follows its instruction in the same transaction.
"""

from collections.abc import Mapping

from contracts.errors import JsonObject
from contracts.payloads.callbacks import Block
from domain.documents.instructions import validate
from domain.jobs import job_commands
from domain.work.work import By
from handlers.commands.command_batch import CommandBatch
from handlers.documents.instruction_views import stored_blocks
from handlers.jobs.job_commands import JobAggregates
from storage.documents.instructions import InstructionHead, InstructionVersion, VersionKey
from storage.jobs.projects import Owned


class InstructionHeads:
    """Which job each instruction belongs to; loaded before the jobs, for it names those that are to be locked."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._wanted: set[Owned] = set()
        self._found: dict[str, InstructionHead] = {}

    def want(self, instruction_id: str, owner: str) -> None:
        self._wanted.add((instruction_id, owner))
        self._batch.aggregates(JobAggregates)
        self._batch.aggregates(VersionedInstructions)

    def load(self) -> None:
        self._found.update(self._batch.uow.instructions.heads(sorted(self._wanted)))
        for head in self._found.values():
            self._batch.aggregates(JobAggregates).want(head.job_id, head.owner)
            self._batch.aggregates(VersionedInstructions).want(head.instruction_id)

    def find(self, instruction_id: str, owner: str) -> InstructionHead | None:
        head = self._found.get(instruction_id)
        return head if head is not None and head.owner == owner else None

    def write(self) -> None:
        """Heads never change but by their versions."""


class VersionedInstructions:
    """The newest versions, loaded once their jobs are locked, and the versions that were decided on."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._wanted: set[str] = set()
        self._newest: dict[str, InstructionVersion] = {}
        self._new: list[InstructionVersion] = []

    def want(self, instruction_id: str) -> None:
        self._wanted.add(instruction_id)

    def load(self) -> None:
        self._newest.update(newest_versions(self._batch.uow.instructions.latest(sorted(self._wanted)), self._batch))

    def newest(self, instruction_id: str) -> InstructionVersion:
        """The newest version, as the last decision left it."""
        return self._newest[instruction_id]

    def add(self, base: InstructionVersion, blocks: list[Block], by: By, trace_id: str) -> InstructionVersion:
        """The next version after *base*; the job follows where it has not ended."""
        version = next_version(base, blocks, by)
        self._newest[base.instruction_id] = version
        self._new.append(version)
        jobs = self._batch.aggregates(JobAggregates)
        job = jobs.job(base.job_id)
        jobs.take(job, job_commands.instruction_advanced(job, version.version, by), trace_id)
        jobs.instruction_changed(version.key, version.validation_status)
        return version

    def write(self) -> None:
        self._batch.uow.instructions.add(self._new)


def newest_versions(heads: Mapping[str, InstructionHead], batch: CommandBatch) -> dict[str, InstructionVersion]:
    """The newest version of each instruction."""
    keys = [VersionKey(head.instruction_id, head.latest_version) for head in heads.values()]
    return {key.instruction_id: version for key, version in batch.uow.instructions.versions(sorted(keys)).items()}


def next_version(
    base: InstructionVersion, blocks: list[Block], by: By, provenance: JsonObject | None = None
) -> InstructionVersion:
    """A new version on top of *base*, judged."""
    judged = validate(blocks)
    return InstructionVersion(
        instruction_id=base.instruction_id,
        version=base.version + 1,
        job_id=base.job_id,
        owner=base.owner,
        blocks=stored_blocks(blocks),
        validation_status=judged.status,
        issues=[issue.as_json() for issue in judged.issues],
        created_by=by.actor,
        created_at=by.at,
        provenance=provenance,
    )
