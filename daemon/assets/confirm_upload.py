"""``asset.confirm-upload``: the bytes are read, then the command is carried out like any other."""

from typing import Final

import structlog

from adapters.errors import AdapterError
from adapters.nats.object_store import ObjectStore
from contracts.errors import ErrorCode, Problem, problem
from contracts.payloads.commands.assets import AssetConfirmUpload
from contracts.values.states import AssetState
from daemon.assets.byte_cache import TooManyBytesError
from daemon.assets.inspection import Inspected, Inspector
from daemon.commands.single_command import SingleCommand
from domain.assets.assets import INFECTED, MEDIA_TYPES, WRONG_BYTES, Asset, Content
from handlers.assets.asset_commands import confirming
from handlers.commands.command import Command, Reply, payload_of, refuse
from storage.engine.database import Database

log = structlog.get_logger(__name__)


class ConfirmUpload:
    """Answers the command. What is not as it was announced is removed from the store."""

    def __init__(self, database: Database, store: ObjectStore, inspector: Inspector, carry_out: SingleCommand) -> None:
        self._database = database
        self._store = store
        self._inspector = inspector
        self._carry_out = carry_out

    async def __call__(self, command: Command) -> Reply:
        upload_id = payload_of(command, AssetConfirmUpload).upload_id
        asset = await self._database.read(lambda uow: uow.assets.by_upload(upload_id))
        if asset is None or asset.owner != command.principal.owner or asset.state is not AssetState.PENDING:
            return await self._carry_out(command, confirming(None))
        found = await self._look_at(asset)
        if isinstance(found, Problem):
            return refuse(found)
        content = None if found is None else found.content
        if found is not None and found.refused:
            await self._discard(asset)
            return refuse(INFECTED)
        reply = await self._carry_out(command, confirming(content))
        if reply.problem is not None and content is not None and not _as_announced(asset, content):
            await self._discard(asset)
        return reply

    async def _look_at(self, asset: Asset) -> Inspected | Problem | None:
        try:
            return await self._inspector.look_at(asset.object or "", most_bytes=asset.size)
        except TooManyBytesError:
            await self._discard(asset)
            return WRONG_BYTES
        except (AdapterError, OSError) as error:
            log.warning("upload_not_read", upload_id=asset.upload_id, reason=str(error) or type(error).__name__)
            return STORE_AWAY

    async def _discard(self, asset: Asset) -> None:
        """The bytes go; the upload waits for others, until it expires."""
        try:
            await self._store.remove(asset.object or "")
        except AdapterError as error:
            log.warning("upload_not_removed", upload_id=asset.upload_id, reason=str(error))


def _as_announced(asset: Asset, content: Content) -> bool:
    same = content.size == asset.size and content.sha256 == asset.sha256
    return same and content.media_type in MEDIA_TYPES


STORE_AWAY: Final = problem(ErrorCode.UNAVAILABLE, "the file cannot be read now; try again")
