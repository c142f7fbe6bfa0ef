"""``instruction.get`` and ``instruction.put``."""

from contracts.payloads.commands.documents import InstructionGet, InstructionPut
from domain.documents.differences import difference
from domain.documents.instructions import version_conflict
from domain.work.work import By
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.documents.instruction_views import as_values, blocks_of, instruction_view, summary_view
from handlers.documents.instructions import InstructionHeads, VersionedInstructions
from handlers.effects import Context
from storage.documents.instructions import VersionKey
from storage.unit_of_work import UnitOfWork

_CREATED = 201
_MOST_HISTORY = 500


def get_instruction(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``instruction.get``"""
    wanted, owner = payload_of(command, InstructionGet), command.principal.owner
    head = uow.instructions.heads([(wanted.instruction_id, owner)]).get(wanted.instruction_id)
    if head is None:
        return refuse(NOT_FOUND)
    key = VersionKey(head.instruction_id, wanted.version or head.latest_version)
    other = None if wanted.compare_to is None else VersionKey(head.instruction_id, wanted.compare_to)
    versions = uow.instructions.versions(sorted({key} if other is None else {key, other}))
    if key not in versions or (other is not None and other not in versions):
        return refuse(NOT_FOUND)
    view = instruction_view(versions[key], head.latest_version)
    if other is not None:
        changes = difference(blocks_of(versions[other].blocks), blocks_of(versions[key].blocks))
        view["compared_to"] = other.version
        view["difference"] = [change.as_json() for change in changes]
    if wanted.history:
        view["history"] = as_values(
            [summary_view(each) for each in uow.instructions.history(head.instruction_id, limit=_MOST_HISTORY)]
        )
    return ok(view)


def _want(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(InstructionHeads).want(payload_of(command, InstructionPut).instruction_id, command.principal.owner)


def _put(command: Command, batch: CommandBatch) -> Reply:
    payload, owner = payload_of(command, InstructionPut), command.principal.owner
    if batch.aggregates(InstructionHeads).find(payload.instruction_id, owner) is None:
        return refuse(NOT_FOUND)
    versions = batch.aggregates(VersionedInstructions)
    newest = versions.newest(payload.instruction_id)
    if payload.base_version != newest.version:
        return refuse(version_conflict(newest.version))
    version = versions.add(newest, payload.blocks, By(owner, batch.context.now), command.trace_id)
    return Reply(_CREATED, instruction_view(version, version.version))


PUT_INSTRUCTION = ChangeHandler(_want, _put)
