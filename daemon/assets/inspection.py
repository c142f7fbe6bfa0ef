"""Looking at what was uploaded: how much, which digest, which type, and what the scanner says."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from adapters.media.detection import HEAD_BYTES, Dimensions, detect, dimensions
from adapters.media.scanning import Verdict, scan
from daemon.assets.byte_cache import ByteCache
from domain.assets.assets import MEDIA_TYPES, Content

_SCAN_S: Final = 60.0
_AT_ONCE: Final = 4
"""Objects that are read at the same time: each has a few chunks in memory."""


class Inspected(Struct, frozen=True):
    """What was found; ``refused`` where the scanner would not have it."""

    content: Content
    refused: bool = False


class Inspector:
    """Reads objects of the store to their end."""

    def __init__(self, cache: ByteCache, scan_command: Sequence[str], *, scan_s: float = _SCAN_S) -> None:
        self._cache = cache
        self._scan_command = tuple(scan_command)
        self._scan_s = scan_s
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def look_at(self, name: str, *, most_bytes: int) -> Inspected | None:
        """What the object is; None where there is none. What is sound is kept at hand.

        Raises :class:`~adapters.errors.AdapterError` where it cannot be told, ``OSError`` where there is no room.
        """
        try:
            async with self._slots, self._cache.fetched(name, most_bytes=most_bytes) as (draft, sha256):
                content = await asyncio.to_thread(_content, draft, sha256)
                if content.media_type not in MEDIA_TYPES:
                    return Inspected(content)
                if self._scan_command and await self._refused(draft):
                    return Inspected(content, refused=True)
                await self._cache.keep(draft, sha256)
                return Inspected(content)
        except FileNotFoundError:
            return None

    async def _refused(self, file: Path) -> bool:
        return await scan(self._scan_command, file, timeout_s=self._scan_s) is Verdict.REFUSED


def _content(file: Path, sha256: str) -> Content:
    with file.open("rb") as opened:
        media_type = detect(opened.read(HEAD_BYTES))
    is_picture = media_type is not None and media_type.startswith("image/")
    size: Dimensions | None = dimensions(file) if is_picture else None
    width, height = (None, None) if size is None else size
    return Content(file.stat().st_size, sha256, media_type, width, height)
