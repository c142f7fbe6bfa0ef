"""The parts that move files, put together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from adapters.nats.object_store import ObjectStore
from contracts.values.states import AssetState, ExportState
from daemon.assets.annotate import Annotate
from daemon.assets.asset_sweeper import SWEEP_S, AssetSweeper
from daemon.assets.byte_cache import ByteCache
from daemon.assets.confirm_upload import ConfirmUpload
from daemon.assets.extraction_proofs import LOOK_S as PROOFS_LOOK_S
from daemon.assets.extraction_proofs import ExtractionProofs
from daemon.assets.inspection import Inspector
from daemon.clock import now_micros
from daemon.commands.command_endpoint import Operation
from daemon.commands.single_command import SingleCommand
from daemon.exports.export_runner import LOOK_S as EXPORTS_LOOK_S
from daemon.exports.export_runner import ExportRunner
from daemon.foundation import Foundation
from daemon.http.dispatch import App
from daemon.http.downloads import Downloads, Kept
from daemon.http.uploads import PREFIX, Uploads
from daemon.maintenance.loop import Loop
from domain.assets.file_names import content_disposition, safe_name
from domain.documents.exports import MEDIA_TYPE
from storage.engine.database import Database

_FOLDER: Final = "bytes"
_ASSETS: Final = "/assets/"
_EXPORTS: Final = "/exports/"


class AssetParts(Struct, frozen=True):
    """What files need of the daemon: routes by prefix, commands that read bytes first, background loops."""

    routes: Mapping[str, App]
    commands: Mapping[str, Operation]
    loops: Sequence[Loop]


def asset_parts(base: Foundation, wake: Callable[[Iterable[str]], None]) -> AssetParts:
    """Raises ``OSError`` where the folder for bytes at hand cannot be made."""
    database, settings = base.database, base.settings.assets
    store = ObjectStore(base.nats.client, base.subjects.assets_bucket)
    cache = ByteCache(base.settings.daemon.state_dir / _FOLDER, store)
    cache.prepare()
    inspector = Inspector(cache, settings.scan_command)
    carry_out = SingleCommand(database, context=base.context, wake=wake, count=base.metrics.facts)
    sweeper = AssetSweeper(database, store, clock=now_micros)
    proofs = ExtractionProofs(database, inspector, context=base.context, wake=wake, most_bytes=settings.max_bytes)

    exports = ExportRunner(database, store, cache, context=base.context, wake=wake, count=base.metrics.facts)

    async def find_export(export_id: str) -> Kept | None:
        return await _kept_export(database, export_id)

    async def find_asset(asset_id: str) -> Kept | None:
        return await _kept_asset(database, asset_id)

    return AssetParts(
        routes={
            PREFIX: Uploads(database, store, links=base.links, clock=now_micros),
            _EXPORTS: Downloads(_EXPORTS, find_export, cache=cache, links=base.links, clock=now_micros),
            _ASSETS: Downloads(_ASSETS, find_asset, cache=cache, links=base.links, clock=now_micros),
        },
        commands={
            "asset.confirm-upload": ConfirmUpload(database, store, inspector, carry_out),
            "anchor.annotate": Annotate(database, store, cache, carry_out, context=base.context),
        },
        loops=[
            Loop("asset-sweeper", SWEEP_S, sweeper.step),
            Loop("extraction-proofs", PROOFS_LOOK_S, proofs.step),
            Loop("exports", EXPORTS_LOOK_S, exports.step),
        ],
    )


async def _kept_asset(database: Database, asset_id: str) -> Kept | None:
    found = await database.read(lambda uow: uow.assets.by_ids([asset_id]))
    asset = found.get(asset_id)
    if asset is None or asset.state is not AssetState.READY or asset.object is None:
        return None
    return Kept(
        object=asset.object,
        sha256=asset.sha256,
        size=asset.size,
        media_type=asset.media_type,
        disposition=content_disposition(asset.filename),
        kept_at=asset.updated_at,
    )


async def _kept_export(database: Database, export_id: str) -> Kept | None:
    export = await database.read(lambda uow: uow.exports.by_id(export_id))
    if export is None or export.status is not ExportState.SUCCEEDED:
        return None
    if export.object is None or export.sha256 is None or export.size is None:
        return None
    return Kept(
        object=export.object,
        sha256=export.sha256,
        size=export.size,
        media_type=MEDIA_TYPE[export.format],
        disposition=content_disposition(f"{safe_name(str(export.pinned['title']))}.{export.format}", attachment=True),
        kept_at=export.updated_at,
    )
