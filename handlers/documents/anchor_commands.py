"""``anchor.create``, ``attach``, ``detach``, ``replace``."""

from msgspec.structs import replace

from contracts.errors import ErrorCode, invalid_field, problem
from contracts.payloads.commands.anchors import AnchorAttach, AnchorCreate, AnchorDetach, AnchorReplace
from contracts.values.states import AssetState, TaskState
from contracts.values.work import WorkType
from domain.documents import anchors as rules
from domain.documents.anchors import Anchor, Characters, document_text
from domain.documents.task_keys import extraction_request, request_key
from handlers.assets.asset_aggregates import AssetAggregates
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.documents.anchored_assets import AnchoredAssets
from handlers.documents.instruction_views import blocks_of
from handlers.documents.tasks.task_commands import NO_VIDEO, TaskRequests
from handlers.documents.tasks.task_work import extracted_asset
from handlers.jobs.job_commands import JobAggregates
from storage.documents.instructions import InstructionVersion
from storage.work.tasks import TaskKey

_CREATED = 201


def _want_version(command: Command, batch: CommandBatch) -> None:
    payload = payload_of(command, AnchorCreate)
    batch.aggregates(AnchoredAssets).want_version(payload.instruction_id, command.principal.owner, payload.version)


def _create(command: Command, batch: CommandBatch) -> Reply:
    payload, owner, now = payload_of(command, AnchorCreate), command.principal.owner, batch.context.now
    anchors = batch.aggregates(AnchoredAssets)
    version = anchors.version(payload.instruction_id, owner, payload.version)
    if version is None:
        return refuse(NOT_FOUND)
    wanted = payload.char_range
    characters = None if wanted is None else Characters(wanted.start, wanted.end, wanted.block_id)
    block_id = payload.block_id if characters is None else characters.block_id
    if block_id is not None and all(block["block_id"] != block_id for block in version.blocks):
        return refuse(UNKNOWN_BLOCK if characters is None else UNKNOWN_BLOCK_OF_RANGE)
    if characters is not None and characters.end > _length(version, characters.block_id):
        return refuse(BEYOND_THE_TEXT)
    anchor = Anchor(
        anchor_id=batch.context.new_id(),
        instruction_id=payload.instruction_id,
        owner=owner,
        created_version=payload.version,
        created_at=now,
        updated_at=now,
        block_id=payload.block_id,
        characters=characters,
    )
    return Reply(_CREATED, anchors.view(anchors.take(anchor)))


def _length(version: InstructionVersion, block_id: str | None) -> int:
    blocks = blocks_of(version.blocks)
    if block_id is None:
        return len(document_text(blocks))
    return next(len(block.text) for block in blocks if block.block_id == block_id)


def _want_attach(command: Command, batch: CommandBatch) -> None:
    payload, owner = payload_of(command, AnchorAttach), command.principal.owner
    batch.aggregates(AnchoredAssets).want(payload.anchor_id, owner)
    batch.aggregates(AssetAggregates).want(payload.asset_id, owner)


def _attach(command: Command, batch: CommandBatch) -> Reply:
    payload = payload_of(command, AnchorAttach)
    return _attached(command, batch, payload.anchor_id, payload.asset_id)


def _attached(command: Command, batch: CommandBatch, anchor_id: str, asset_id: str) -> Reply:
    anchors, owner = batch.aggregates(AnchoredAssets), command.principal.owner
    anchor, asset = anchors.find(anchor_id, owner), batch.aggregates(AssetAggregates).find(asset_id, owner)
    if anchor is None or asset is None:
        return refuse(NOT_FOUND)
    if asset.state is not AssetState.READY:
        return refuse(NOT_READY)
    return ok(anchors.view(anchors.attach(anchor, asset_id)))


def _detach(command: Command, batch: CommandBatch) -> Reply:
    payload, owner = payload_of(command, AnchorDetach), command.principal.owner
    anchors = batch.aggregates(AnchoredAssets)
    anchor = anchors.find(payload.anchor_id, owner)
    if anchor is None or not any(link.asset_id == payload.asset_id for link in anchor.links):
        return refuse(NOT_FOUND)
    return ok(anchors.view(anchors.take(rules.detach(anchor, payload.asset_id, batch.context.now))))


def _want_replace(command: Command, batch: CommandBatch) -> None:
    payload, owner = payload_of(command, AnchorReplace), command.principal.owner
    batch.aggregates(AnchoredAssets).want(payload.anchor_id, owner)
    if payload.asset_id is not None:
        batch.aggregates(AssetAggregates).want(payload.asset_id, owner)
    elif payload.timestamp_ms is not None:
        batch.aggregates(AnchoredAssets).want_job(payload.anchor_id)
        batch.aggregates(TaskRequests).want_picture(payload.anchor_id, owner, payload.timestamp_ms)


def _replace(command: Command, batch: CommandBatch) -> Reply:
    payload, owner = payload_of(command, AnchorReplace), command.principal.owner
    if payload.asset_id is not None:
        return _attached(command, batch, payload.anchor_id, payload.asset_id)
    anchors = batch.aggregates(AnchoredAssets)
    anchor = anchors.find(payload.anchor_id, owner)
    if anchor is None or payload.timestamp_ms is None:
        return refuse(NOT_FOUND)
    job_id = anchors.job_of(anchor)
    job = batch.aggregates(JobAggregates).find(job_id, owner)
    video = None if job is None else job.video_uri or job.video_url
    if video is None:
        return refuse(NO_VIDEO)
    request = extraction_request(video, [payload.timestamp_ms], None, "png")
    key = TaskKey(WorkType.SCREENSHOT_EXTRACT, job_id, request_key(request))
    tasks = batch.aggregates(TaskRequests)
    reply = tasks.ask(command, key, request)
    record = tasks.find(key)
    if record is None:
        return reply
    if record.task.status is TaskState.SUCCEEDED and (asset_id := extracted_asset(record)) is not None:
        anchors.attach(anchor, asset_id)
    else:
        anchors.take(replace(anchor, awaits_task_id=record.task.task_id, updated_at=batch.context.now))
    return reply


NOT_READY = problem(ErrorCode.INVALID_STATE, "the asset is not ready")
UNKNOWN_BLOCK = invalid_field("payload.block_id", "unknown_block", "Block should be one of the version")
UNKNOWN_BLOCK_OF_RANGE = invalid_field(
    "payload.char_range.block_id", "unknown_block", "Block should be one of the version"
)
BEYOND_THE_TEXT = invalid_field("payload.char_range.end", "out_of_range", "A range should lie within the text")

CREATE_ANCHOR = ChangeHandler(_want_version, _create)
ATTACH_ASSET = ChangeHandler(_want_attach, _attach)
DETACH_ASSET = ChangeHandler(_want_attach, _detach)
REPLACE_ASSET = ChangeHandler(_want_replace, _replace)
