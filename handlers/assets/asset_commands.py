"""``asset.*``: announced, confirmed by what was found in the store, looked at, deleted."""

from contracts.errors import Problem
from contracts.payloads.commands.assets import AssetBeginUpload, AssetConfirmUpload, AssetDelete, AssetGet
from domain.assets import assets as rules
from domain.assets.assets import Content, NewUpload
from domain.assets.file_names import safe_name
from domain.work.work import By
from handlers.assets.asset_aggregates import AssetAggregates
from handlers.assets.asset_views import asset_view, upload_view
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.documents.anchored_assets import AnchoredAssets
from handlers.effects import Context
from handlers.jobs.job_commands import JobAggregates
from storage.unit_of_work import UnitOfWork

_CREATED = 201


def _by(command: Command, batch: CommandBatch) -> By:
    return By(command.principal.owner, batch.context.now)


def _want_job(command: Command, batch: CommandBatch) -> None:
    payload = payload_of(command, AssetBeginUpload)
    batch.aggregates(AssetAggregates)
    if payload.job_id is not None:
        batch.aggregates(JobAggregates).want(payload.job_id, command.principal.owner)


def _begin(command: Command, batch: CommandBatch) -> Reply:
    payload, owner, context = payload_of(command, AssetBeginUpload), command.principal.owner, batch.context
    if payload.job_id is not None and batch.aggregates(JobAggregates).find(payload.job_id, owner) is None:
        return refuse(NOT_FOUND)
    new = NewUpload(
        upload_id=context.new_id(),
        asset_id=context.new_id(),
        owner=owner,
        job_id=payload.job_id,
        filename=safe_name(payload.filename),
        media_type=payload.media_type.lower(),
        size=payload.size,
        sha256=payload.sha256,
    )
    terms = context.assets
    ruling = rules.announce(new, max_bytes=terms.max_bytes, ttl_s=terms.upload_ttl_s, by=_by(command, batch))
    if isinstance(ruling, Problem):
        return refuse(ruling)
    batch.aggregates(AssetAggregates).take(ruling)
    return Reply(_CREATED, upload_view(ruling.asset, context))


def _want_upload(command: Command, batch: CommandBatch) -> None:
    upload_id = payload_of(command, AssetConfirmUpload).upload_id
    batch.aggregates(AssetAggregates).want_upload(upload_id, command.principal.owner)


def confirming(found: Content | None) -> ChangeHandler:
    """``asset.confirm-upload``, given what was found where the bytes should be."""

    def confirm(command: Command, batch: CommandBatch) -> Reply:
        assets, owner = batch.aggregates(AssetAggregates), command.principal.owner
        asset = assets.find_upload(payload_of(command, AssetConfirmUpload).upload_id, owner)
        if asset is None:
            return refuse(NOT_FOUND)
        ruling = rules.confirm(asset, found, _by(command, batch))
        if isinstance(ruling, Problem):
            return refuse(ruling)
        assets.take(ruling)
        return ok(asset_view(ruling.asset, batch.context))

    return ChangeHandler(_want_upload, confirm)


def _want_asset(command: Command, batch: CommandBatch) -> None:
    asset_id = payload_of(command, AssetDelete).asset_id
    batch.aggregates(AssetAggregates).want(asset_id, command.principal.owner)
    batch.aggregates(AnchoredAssets).want_asset(asset_id)


def _delete(command: Command, batch: CommandBatch) -> Reply:
    assets = batch.aggregates(AssetAggregates)
    asset = assets.find(payload_of(command, AssetDelete).asset_id, command.principal.owner)
    if asset is None:
        return refuse(NOT_FOUND)
    ruling = rules.delete(asset, _by(command, batch))
    if isinstance(ruling, Problem):
        return refuse(ruling)
    assets.take(ruling)
    if ruling.changed:
        batch.aggregates(AnchoredAssets).forget_asset(asset.asset_id, batch.context.now)
    return ok(asset_view(ruling.asset, batch.context))


def get_asset(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``asset.get``"""
    asset = uow.assets.get(payload_of(command, AssetGet).asset_id, owner=command.principal.owner)
    return refuse(NOT_FOUND) if asset is None else ok(asset_view(asset, context))


BEGIN_UPLOAD = ChangeHandler(_want_job, _begin)
DELETE_ASSET = ChangeHandler(_want_asset, _delete)
