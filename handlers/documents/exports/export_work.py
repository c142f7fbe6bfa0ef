"""The steps of working on an export: started under a lease, ended under the same one."""

from collections.abc import Callable

from msgspec import Struct

from contracts.errors import JsonObject, Problem
from contracts.payloads.callbacks import Block
from contracts.values.principals import SYSTEM
from domain.documents import exports as rules
from domain.documents.exports import Export, ExportDecision, Written
from domain.jobs import job_commands
from domain.work.work import By, Failure
from handlers.documents.exports.export_views import export_messages
from handlers.documents.instruction_views import blocks_of
from handlers.effects import Context, Fact
from handlers.jobs.job_recorder import JobRecorder
from storage.documents.instructions import VersionKey
from storage.journal.leases import Lease
from storage.unit_of_work import UnitOfWork

_LEASE_S = 120.0


class StartedExport(Struct, frozen=True):
    """An export that this daemon works on, under its lease, and the blocks that it shows."""

    export: Export
    lease: Lease
    blocks: list[Block]


def start_export(export_id: str, uow: UnitOfWork, context: Context) -> StartedExport | None:
    """Take the export and start it; None where another daemon has it, or it is given up."""
    lease = uow.leases.take(_lease_name(export_id), holder=context.daemon_id, ttl_s=_LEASE_S)
    export = None if lease is None else uow.exports.locked(export_id)
    if lease is None or export is None:
        return None
    decision = rules.start(export, max_attempts=context.work.max_attempts, by=By(SYSTEM, context.now))
    _record(decision, uow, context)
    if not decision.changed or decision.export.error is not None:
        uow.leases.forget(lease.name)
        return None
    instruction = export.pinned["instruction"]
    assert isinstance(instruction, dict)  # noqa: S101 - pinned by ourselves
    key = VersionKey(str(instruction["instruction_id"]), int(str(instruction["version"])))
    version = uow.instructions.versions([key]).get(key)
    return StartedExport(decision.export, lease, [] if version is None else blocks_of(version.blocks))


def succeed_export(
    started: StartedExport, written: Written, uow: UnitOfWork, context: Context
) -> tuple[bool, list[Fact]]:
    """The bytes are in the store: the export is there, and its job done. False where the lease was lost."""

    def decide(export: Export, by: By) -> ExportDecision:
        return rules.succeed(export, written, provenance_of(export), by)

    if not _end(started, decide, uow, context):
        return False, []
    jobs = uow.jobs.locked([started.export.job_id])
    recorder = JobRecorder(uow, context)
    for job in jobs.values():
        ruling = job_commands.export_succeeded(job, By(SYSTEM, context.now))
        if not isinstance(ruling, Problem):
            recorder.take(job, ruling, started.export.trace_id)
    uow.outbox.add(recorder.write(), owner=context.daemon_id, now=context.now)
    return True, list(recorder.facts)


def fail_export(started: StartedExport, why: Failure, uow: UnitOfWork, context: Context) -> bool:
    """The export cannot be made. False where the lease was lost."""
    return _end(started, lambda export, by: rules.fail(export, why, by), uow, context)


def interrupt_export(started: StartedExport, uow: UnitOfWork, context: Context) -> bool:
    """Something is away: whoever finds the export next goes on with it. False where the lease was lost."""
    return _end(started, rules.interrupt, uow, context)


def _end(
    started: StartedExport, decide: Callable[[Export, By], ExportDecision], uow: UnitOfWork, context: Context
) -> bool:
    export = uow.exports.locked(started.export.export_id)
    if export is None or not uow.leases.still_held(started.lease) or export.attempt != started.export.attempt:
        return False
    _record(decide(export, By(SYSTEM, context.now)), uow, context)
    uow.leases.forget(started.lease.name)
    return True


def _record(decision: ExportDecision, uow: UnitOfWork, context: Context) -> None:
    if decision.changed:
        uow.exports.upsert([decision.export])
        uow.outbox.add(export_messages(decision.export, context), owner=context.daemon_id, now=context.now)


def provenance_of(export: Export) -> JsonObject:
    """What the export is made of, as it is told for ever: no time of making, so that the same gives the same bytes."""
    told: JsonObject = {name: value for name, value in export.pinned.items() if name != "assets"}
    assets = export.pinned["assets"]
    assert isinstance(assets, list)  # noqa: S101 - pinned by ourselves
    shown = [asset for asset in assets if isinstance(asset, dict)]
    listed = [{name: value for name, value in asset.items() if name != "object"} for asset in shown]
    return {
        "export_id": export.export_id,
        "job_id": export.job_id,
        "format": export.format,
        "options": export.options,
        **told,
        "assets": [*listed],
    }


def _lease_name(export_id: str) -> str:
    return f"export.{export_id}"
