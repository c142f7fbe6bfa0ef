"""Removing bytes that nothing names any more: uploads nobody confirmed, deleted assets, what a broken write left.

The row goes first where it still promises something, the bytes where it does not: a daemon that dies between the two
leaves work for the next round, never a promise without bytes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from msgspec.structs import replace

from adapters.nats.object_store import ObjectStore
from contracts.values.principals import SYSTEM
from contracts.values.states import AssetState
from contracts.values.times import MICROS_PER_SECOND, parse_micros
from domain.assets import assets as rules
from domain.assets.assets import Asset, AssetDecision
from domain.work.work import By
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

SWEEP_S: Final = 15.0
OUR_PREFIXES: Final = ("uploads/", "tasks/", "annotations/", "exports/")
"""What lies elsewhere in the bucket is other people's."""
_AT_ONCE: Final = 100
_STRAY_S: Final = 24 * 3_600.0
_STRAY_EVERY_S: Final = 3_600.0


class AssetSweeper:
    """Removes what is over: a few things each round, strays once an hour."""

    def __init__(self, database: Database, store: ObjectStore, *, clock: Callable[[], int]) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._strays_at = time.monotonic() + _STRAY_EVERY_S

    async def step(self) -> float | None:
        """One round; comes again at once where there was more to do."""
        now = self._clock()
        expired = await self._database.write(lambda uow: _expire(uow, now))
        unheld = await self._database.read(lambda uow: uow.assets.unheld(limit=_AT_ONCE))
        if unheld:
            await self.remove(unheld)
        if time.monotonic() >= self._strays_at:
            await self.remove_strays()
            self._strays_at = time.monotonic() + _STRAY_EVERY_S
        return 0.0 if max(expired, len(unheld)) == _AT_ONCE else None

    async def remove_all_unnamed(self) -> int:
        """All that nothing names any more, at once; of how many objects the bytes went."""
        removed = 0
        while unheld := await self._database.read(lambda uow: uow.assets.unheld(limit=_AT_ONCE)):
            await self.remove(unheld)
            removed += len(unheld)
        return removed + await self.remove_strays()

    async def remove(self, assets: Sequence[Asset]) -> None:
        """Remove the bytes of deleted assets, then the places where they lay from their rows."""
        for asset in assets:
            await self._store.remove(asset.object or "")
        gone = [replace(asset, object=None, updated_at=self._clock()) for asset in assets]
        await self._database.write(lambda uow: uow.assets.upsert(gone))
        log.info("asset_bytes_removed", assets=len(assets))

    async def remove_strays(self, *, older_than_s: float = _STRAY_S) -> int:
        """Remove objects of ours that no row names, and chunks that belong to no object; of how many things.

        What is younger may be on its way: its row comes after its bytes.
        """
        before = self._clock() - round(older_than_s * MICROS_PER_SECOND)
        removed = 0
        for prefix in OUR_PREFIXES:
            stored = [each for each in await self._store.names(prefix) if _written_at(each.written_at) < before]
            names = [each.name for each in stored]
            named = await self._database.read(lambda uow, names=names: uow.assets.named(names))  # type: ignore[misc]  # a default binds the loop's value
            for name in names:
                if name not in named:
                    await self._store.remove(name)
                    removed += 1
        removed += await self._store.remove_torn(before=before)
        if removed:
            log.info("stray_objects_removed", objects=removed)
        return removed


def _expire(uow: UnitOfWork, now: int) -> int:
    """Uploads whose time is over are deleted assets, whose bytes go like those of others."""
    expired = uow.assets.expired(now=now, limit=_AT_ONCE)
    decided = [rules.delete(asset, By(SYSTEM, now)) for asset in expired if asset.state is AssetState.PENDING]
    uow.assets.upsert([each.asset for each in decided if isinstance(each, AssetDecision)])
    return len(expired)


def _written_at(told: str) -> int:
    """When an object was written, as its writer says; long ago where that is no time."""
    try:
        return parse_micros(told)
    except ValueError:
        return 0
