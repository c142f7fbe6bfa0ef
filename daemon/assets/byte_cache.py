"""Bytes at hand: files named by their SHA-256, fetched from the store when they are first asked for.

Bytes never change, so a file that is there is right for ever. What is fetched is checked while it is written and takes
its name only when it is whole: nothing else is ever served. The files used longest ago make room for new ones.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import anyio
import structlog

from adapters.errors import ObjectStoreError
from adapters.nats.object_store import ObjectStore

log = structlog.get_logger(__name__)

MOST_BYTES: Final = 1_024 * 2**20
_DRAFT: Final = ".draft-"


class WrongBytesError(ObjectStoreError):
    """What lies in the store is not what was kept: somebody wrote over it."""


class TooManyBytesError(ObjectStoreError):
    """The object is larger than it may be."""


class ByteCache:
    """Files below one folder; *most_bytes* of them at most, but for what is in use."""

    def __init__(self, folder: Path, store: ObjectStore, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._store = store
        self._most_bytes = most_bytes
        self._locks: dict[str, asyncio.Lock] = {}

    def prepare(self) -> None:
        """Make the folder, and remove what a dead predecessor had not finished. Raises ``OSError``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for draft in self._folder.glob(f"{_DRAFT}*"):
            draft.unlink(missing_ok=True)

    async def file(self, name: str, sha256: str) -> Path:
        """The file with the bytes of the object *name*, whose digest is *sha256*.

        Raises :class:`ObjectStoreError` where they cannot be had, ``OSError`` where they cannot be kept.
        """
        kept = self._folder / sha256
        if await asyncio.to_thread(_touch, kept):
            return kept
        lock = self._locks.setdefault(sha256, asyncio.Lock())
        try:
            async with lock:
                if await asyncio.to_thread(_touch, kept):
                    return kept
                async with self.fetched(name) as (draft, found):
                    if found != sha256:
                        raise WrongBytesError(f"{name}: the bytes in the store are not those that were kept")
                    await self.keep(draft, sha256)
        finally:
            if not lock.locked():
                self._locks.pop(sha256, None)
        return kept

    @asynccontextmanager
    async def fetched(self, name: str, *, most_bytes: int | None = None) -> AsyncIterator[tuple[Path, str]]:
        """A draft with the bytes of an object, and their digest; it is removed unless it is kept.

        Raises :class:`FileNotFoundError` where there is no such object, else as :meth:`file` does.
        """
        stored = await self._store.info(name)
        if stored is None:
            raise FileNotFoundError(name)
        async with self.draft() as draft:
            digest, size = hashlib.sha256(), 0
            async with await anyio.open_file(draft, "wb") as written, aclosing(self._store.read(stored)) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if most_bytes is not None and size > most_bytes:
                        raise TooManyBytesError(f"{name}: the object is larger than it may be")
                    digest.update(chunk)
                    await written.write(chunk)
            yield draft, digest.hexdigest()

    @asynccontextmanager
    async def draft(self) -> AsyncIterator[Path]:
        """The path of a file that nobody else writes; it is removed unless it is kept."""
        draft = self._folder / f"{_DRAFT}{uuid4().hex}"
        try:
            yield draft
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    async def keep(self, draft: Path, sha256: str) -> Path:
        """Give a draft the name of its bytes, and make room. Raises ``OSError``."""
        kept = self._folder / sha256
        await asyncio.to_thread(draft.replace, kept)
        await asyncio.to_thread(_make_room, self._folder, self._most_bytes, kept)
        return kept

    async def forget(self, sha256: str) -> None:
        """The bytes are not wanted any more."""
        await asyncio.to_thread((self._folder / sha256).unlink, True)


def _touch(file: Path) -> bool:
    """Note that the file is used; false where it is not there."""
    try:
        os.utime(file)
    except OSError:
        return False
    return True


def _make_room(folder: Path, most_bytes: int, but_for: Path) -> None:
    """Remove what was used longest ago. A file that is being read stays readable to its reader."""
    with os.scandir(folder) as entries:
        files = [
            (entry.stat().st_mtime_ns, entry.stat().st_size, entry.path)
            for entry in entries
            if not entry.name.startswith(_DRAFT)
        ]
    left = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if left <= most_bytes:
            return
        if path != str(but_for):
            Path(path).unlink(missing_ok=True)
            left -= size
