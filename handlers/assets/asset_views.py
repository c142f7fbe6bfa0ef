"""Uploads and assets as their owners see them."""

from contracts.errors import JsonObject
from contracts.values.states import AssetState
from contracts.values.times import format_micros
from domain.assets.assets import Asset
from handlers.effects import Context


def asset_view(asset: Asset, context: Context) -> JsonObject:
    """An asset; with a URL, signed anew, as long as it may be read."""
    view: JsonObject = {
        "asset_id": asset.asset_id,
        "job_id": asset.job_id,
        "state": asset.state,
        "origin": asset.origin,
        "filename": asset.filename,
        "media_type": asset.media_type,
        "size": asset.size,
        "sha256": asset.sha256,
        "created_at": format_micros(asset.created_at),
    }
    extra: JsonObject = {"width": asset.width, "height": asset.height, "timestamp_ms": asset.timestamp_ms}
    view |= {name: value for name, value in extra.items() if value is not None}
    if asset.deleted_at is not None:
        view["deleted_at"] = format_micros(asset.deleted_at)
    if asset.state is AssetState.READY:
        signed = context.links.download(asset_path(asset.asset_id), context.now)
        view |= {"url": signed.url, "url_expires_at": format_micros(signed.expires_at)}
    return view


def asset_path(asset_id: str) -> str:
    return f"/assets/{asset_id}"


def upload_view(asset: Asset, context: Context) -> JsonObject:
    """Where the bytes go: by HTTP to the URL, or straight into the object store."""
    assert asset.expires_at is not None  # noqa: S101 - an announced upload has an end
    signed = context.links.upload(f"/uploads/{asset.upload_id}", asset.expires_at)
    return {
        "upload_id": asset.upload_id,
        "asset_id": asset.asset_id,
        "bucket": context.subjects.assets_bucket,
        "object": asset.object,
        "upload_url": signed.url,
        "expires_at": format_micros(asset.expires_at),
    }
