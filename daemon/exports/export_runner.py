"""Works on exports: finds those that wait or were left behind, writes them in a thread, puts them into the store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import anyio
import structlog

from adapters.errors import AdapterError
from adapters.nats.object_store import ObjectStore
from contracts.errors import JsonObject
from daemon.assets.byte_cache import ByteCache, WrongBytesError
from daemon.exports.writing import picture_name, write_export
from daemon.transactions import ANSWERED, committed
from domain.assets.assets import SUFFIX
from domain.documents.exports import BROKEN, UNREADABLE, Export, Written
from domain.documents.rendering import Document, DocumentBlock, Picture
from domain.work.work import Failure
from handlers.documents.exports.export_work import (
    StartedExport,
    fail_export,
    interrupt_export,
    provenance_of,
    start_export,
    succeed_export,
)
from handlers.effects import Context, Fact
from storage.engine.database import Database
from storage.engine.failures import StorageError
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

T = TypeVar("T")

LOOK_S: Final = 0.5
_AT_ONCE: Final = 4
_PAUSE_S: Final = 5.0
"""After something was away."""
_PIECE: Final = 256 * 1024


class ExportRunner:
    """Each step works on what there is. What the outside world interrupts is taken up again once its lease is over."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        cache: ByteCache,
        *,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
        count: Callable[[Sequence[Fact]], None],
    ) -> None:
        self._database = database
        self._store = store
        self._cache = cache
        self._context = context
        self._wake = wake
        self._count = count

    async def step(self) -> float | None:
        """Work on the exports that wait. Raises what storage raises while looking for them."""
        waiting = await self._database.read(lambda uow: uow.exports.at_work(limit=_AT_ONCE))
        interrupted = False
        for export_id in waiting:
            started = await self._write(partial(self._start, export_id))
            self._wake_all()
            if started is not None:
                interrupted |= not await self._work_on(started)
        return _PAUSE_S if interrupted else None

    def _start(self, export_id: str, uow: UnitOfWork) -> StartedExport | None:
        return start_export(export_id, uow, self._context())

    async def _write(self, work: Callable[[UnitOfWork], T]) -> T:
        return await committed(self._database, work, repeats=ANSWERED)

    async def _work_on(self, started: StartedExport) -> bool:
        """Whether the export came to an end; false where something was away."""
        try:
            async with self._cache.draft() as draft:
                written = await self._written(started, draft)
            done, facts = await self._write(lambda uow: succeed_export(started, written, uow, self._context()))
            self._count(facts)
        except (WrongBytesError, FileNotFoundError) as error:
            await self._fail(started, UNREADABLE, error)
        except (AdapterError, StorageError, OSError) as error:
            log.warning("export_interrupted", export_id=started.export.export_id, reason=str(error))
            await self._give_back(started)
            return False
        except Exception as error:  # noqa: BLE001 - whatever the document holds, the others go on
            await self._fail(started, BROKEN, error)
        else:
            self._wake_all()
            log.info("export_succeeded" if done else "export_lost", export_id=started.export.export_id)
        return True

    async def _written(self, started: StartedExport, draft: Path) -> Written:
        export = started.export
        pictures = _pictures(export)
        files = {picture.asset_id: await self._cache.file(place, picture.sha256) for picture, place, _ in pictures}
        document = _document(started, [(picture, block_id) for picture, _, block_id in pictures])
        provenance = provenance_of(export)
        sha256 = await asyncio.to_thread(write_export, draft, export.format, document, files, provenance)
        stored = await self._store.put(f"exports/{export.export_id}", _pieces(draft))
        await self._cache.keep(draft, sha256)
        return Written(stored.name, stored.size, sha256)

    async def _fail(self, started: StartedExport, why: Failure, error: Exception) -> None:
        log.error("export_failed", export_id=started.export.export_id, code=why.code, exc_info=error)
        await self._write(lambda uow: fail_export(started, why, uow, self._context()))
        self._wake_all()

    async def _give_back(self, started: StartedExport) -> None:
        """Somebody may go on with it at once. Where that cannot be said either, its lease runs out by itself."""
        try:
            await self._write(lambda uow: interrupt_export(started, uow, self._context()))
        except StorageError as error:
            log.warning("export_not_given_back", export_id=started.export.export_id, reason=str(error))

    def _wake_all(self) -> None:
        subjects = self._context().subjects
        self._wake([subjects.status_lane, subjects.lane("event.export.x.x")])


def _pictures(export: Export) -> list[tuple[Picture, str, str]]:
    """The pinned assets, where their bytes lie, and to which block they belong. A picture has one place in an archive,
    in however many blocks it is shown."""
    pinned = export.pinned["assets"]
    assets = [asset for asset in pinned if isinstance(asset, dict)] if isinstance(pinned, list) else []
    names: dict[str, str] = {}
    found: list[tuple[Picture, str, str]] = []
    for asset in assets:
        sha256, media_type = str(asset["sha256"]), str(asset["media_type"])
        name = names.setdefault(sha256, picture_name(len(names) + 1, sha256, SUFFIX.get(media_type, "bin")))
        picture = Picture(str(asset["asset_id"]), name, media_type, sha256, int(str(asset["size"])))
        found.append((picture, str(asset["object"]), str(asset["block_id"])))
    return found


def _document(started: StartedExport, pictures: Sequence[tuple[Picture, str]]) -> Document:
    pinned = started.export.pinned
    known = {block.block_id for block in started.blocks}
    blocks = [
        DocumentBlock(
            str(block.type), block.text, [picture for picture, block_id in pictures if block_id == block.block_id]
        )
        for block in started.blocks
    ]
    # Those of places that span the whole document stand behind it.
    if at_the_end := [picture for picture, block_id in pictures if block_id not in known]:
        blocks.append(DocumentBlock("paragraph", "", at_the_end))
    video_url = pinned["video_url"]
    return Document(
        str(pinned["title"]), blocks, _origin(started.export, pinned), str(video_url) if video_url is not None else None
    )


def _origin(export: Export, pinned: JsonObject) -> list[str]:
    instruction, approval = pinned["instruction"], pinned["approval"]
    assert isinstance(instruction, dict)  # noqa: S101 - pinned by ourselves
    lines = [
        f"Job {export.job_id}",
        f"Instruction {instruction['instruction_id']}, version {instruction['version']}",
        f"Written by {instruction['created_by']}, {instruction['created_at']}",
    ]
    if isinstance(approval, dict):
        lines.append(f"Version {approval['version']} approved by {approval['by']}, {approval['at']}")
    return lines


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(file, "rb") as opened:
        while piece := await opened.read(_PIECE):
            yield piece
