"""``anchor.annotate``: drawn in a thread, one picture at a time, and kept only when all of it is there."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import anyio
import structlog

from adapters.errors import AdapterError
from adapters.nats.object_store import ObjectStore
from contracts.errors import ErrorCode, Problem, Refusal, invalid_field, problem
from contracts.payloads.commands.anchors import AnchorAnnotate
from daemon.assets.byte_cache import ByteCache
from daemon.assets.confirm_upload import STORE_AWAY
from daemon.commands.single_command import SingleCommand
from daemon.transactions import ANSWERED, committed
from domain.assets.assets import Asset
from handlers.commands.command import Command, Reply, payload_of, refuse
from handlers.documents.annotation_commands import announce_drawing, drawable, drop_drawing, keeping, known
from handlers.effects import Context
from storage.documents.annotations import Annotation
from storage.engine.database import Database
from storage.engine.failures import StorageError

log = structlog.get_logger(__name__)

_PIECE: Final = 256 * 1024
_CLEANUP_S: Final = 10.0


class Annotate:
    """Answers the command."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        cache: ByteCache,
        carry_out: SingleCommand,
        *,
        context: Callable[[], Context],
    ) -> None:
        self._database = database
        self._store = store
        self._cache = cache
        self._carry_out = carry_out
        self._context = context
        self._one = asyncio.Lock()
        """Pixels are counted for one picture at a time."""

    async def __call__(self, command: Command) -> Reply:
        found = await self._database.read(lambda uow: drawable(command, uow))
        if isinstance(found, Problem):
            return refuse(found)
        if isinstance(found, Annotation):
            return await self._carry_out(command, known(found))
        try:
            async with self._cache.draft() as draft:
                size = await self._draw(found, payload_of(command, AnchorAnnotate), draft)
                return await self._keep(command, found, draft, size)
        except Refusal as refusal:
            return refuse(refusal.problem)
        except (AdapterError, OSError) as error:
            log.warning("annotation_failed", asset_id=found.asset_id, reason=str(error) or type(error).__name__)
            return refuse(STORE_AWAY)

    async def _draw(self, source: Asset, payload: AnchorAnnotate, draft: Path) -> tuple[int, int]:
        from adapters.media import drawing  # with the first picture: a daemon that draws nothing starts without it

        file = await self._cache.file(source.object or "", source.sha256)
        try:
            async with self._one:
                return await asyncio.to_thread(drawing.annotate, file, payload.ops, draft)
        except drawing.NotAPictureError:
            raise Refusal(UNREADABLE) from None
        except drawing.TooManyPixelsError:
            raise Refusal(TOO_MANY_PIXELS) from None
        except drawing.OutsideError as error:
            path = f"payload.ops.{error.index}.{error.field}"
            raise Refusal(invalid_field(path, "outside", "Coordinates should lie within the picture")) from None

    async def _keep(self, command: Command, source: Asset, draft: Path, size: tuple[int, int]) -> Reply:
        sha256, length = await asyncio.to_thread(_measured, draft)
        drawing = await committed(
            self._database,
            lambda uow: announce_drawing(source, sha256, length, uow, self._context()),
            repeats=ANSWERED,
        )
        kept = False
        try:
            await self._store.put(drawing.object or "", _pieces(draft))
            reply = await self._carry_out(command, keeping(drawing, size))
            kept = reply.problem is None and _is_ours(reply, drawing)
            if kept:
                await self._cache.keep(draft, sha256)
            return reply
        finally:
            if not kept:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_CLEANUP_S):
                    await self._drop(drawing)

    async def _drop(self, drawing: Asset) -> None:
        """What cannot be removed now goes with the sweep, once its time is over."""
        try:
            await self._store.remove(drawing.object or "")
            await self._database.write(lambda uow: drop_drawing(drawing, uow, self._context()))
        except (AdapterError, StorageError) as error:
            log.warning("drawing_not_removed", asset_id=drawing.asset_id, reason=str(error))


def _is_ours(reply: Reply, drawing: Asset) -> bool:
    """Whether this drawing was kept: somebody may have drawn the same meanwhile, or before."""
    return isinstance(reply.result, dict) and reply.result.get("asset_id") == drawing.asset_id


def _measured(file: Path) -> tuple[str, int]:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest(), file.stat().st_size


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(file, "rb") as opened:
        while piece := await opened.read(_PIECE):
            yield piece


UNREADABLE: Final = problem(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "the picture cannot be read to its end")
TOO_MANY_PIXELS: Final = problem(ErrorCode.PAYLOAD_TOO_LARGE, "the picture has more than 24,000,000 pixels")
