"""An object store bucket, as other clients see it, read and written chunk by chunk.

The client library's own ``put`` wants a file and its ``get`` takes in chunks faster than they are passed on. Here bytes
are published as they arrive and fetched as they are wanted, so that an object of any size costs a few chunks of memory.
An object is there once its entry is; chunks without one are what a write that was cut short left behind.
"""

import asyncio
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

import anyio
import orjson
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import Error

from adapters.errors import JetStreamError, ObjectStoreError
from adapters.nats.chunk_writer import ChunkWriter
from adapters.nats.jetstream_api import Json, api_request, integer, section
from adapters.nats.streams.stored_messages import last_message_of_subject

_MOST_CHUNK: Final = 512 * 1024
_CHUNKS_AT_ONCE: Final = 2
_CHUNKS_IN_FLIGHT: Final = 12
_ANSWER_S: Final = 30.0
_CLEANUP_S: Final = 10.0
_DIGEST: Final = "SHA-256="
_ROLLUP: Final[Mapping[str, str]] = {"Nats-Rollup": "sub"}


class OtherBytesError(ObjectStoreError):
    """What was to be written has another digest than was said."""


class StoredObject(Struct, frozen=True):
    """An object's entry. ``sha256`` is hexadecimal, as the writer of the object gave it."""

    name: str
    nuid: str
    size: int
    sha256: str
    written_at: str


class ObjectStore:
    """The objects of one bucket."""

    def __init__(self, nc: Client, bucket: str) -> None:
        self._nc = nc
        self._js = nc.jetstream()
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"
        self._in_flight = asyncio.Semaphore(_CHUNKS_IN_FLIGHT)
        """Chunks of all objects together that the server has not answered yet: so many are in memory."""

    async def put(self, name: str, parts: AsyncIterator[bytes], *, sha256: str | None = None) -> StoredObject:
        """Write an object from *parts* as they come; one of the same name is replaced.

        Raises :class:`ObjectStoreError` where the store does not take it, :class:`OtherBytesError` where its digest is
        not *sha256*, and whatever *parts* raises: in all these cases, and where it is cancelled, nothing is left.
        """
        nuid = uuid4().hex
        written = False
        try:
            size, chunks, digest = await self._write_chunks(nuid, parts)
            if sha256 is not None and digest.hex() != sha256:
                raise OtherBytesError(f"{self._bucket}: the object has another digest than it should have")
            before = await self.info(name)
            entry = self._entry(name, nuid, size, chunks, digest)
            await self._publish(self._entry_subject(name), orjson.dumps(entry), _ROLLUP)
            written = True
        finally:
            if not written:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_CLEANUP_S):
                    await self._purge_quietly(self._chunk_subject(nuid))
        if before is not None:
            await self._purge_quietly(self._chunk_subject(before.nuid))
        return StoredObject(name, nuid, size, digest.hex(), str(entry["mtime"]))

    async def _write_chunks(self, nuid: str, parts: AsyncIterator[bytes]) -> tuple[int, int, bytes]:
        digest, size, chunks = hashlib.sha256(), 0, 0
        writer = ChunkWriter(self._nc, self._bucket, self._chunk_subject(nuid), self._in_flight)
        async with writer, aclosing(_even(parts, self._chunk_size())) as even:
            async for chunk in even:
                await writer.send(chunk)
                await asyncio.to_thread(digest.update, chunk)
                size += len(chunk)
                chunks += 1
            await writer.settle()
        return size, chunks, digest.digest()

    def _chunk_size(self) -> int:
        return max(1_024, min(_MOST_CHUNK, self._nc.max_payload - 4_096))

    async def _publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            await self._js.publish(subject, body, timeout=_ANSWER_S, stream=self._stream, headers=dict(headers))
        except (Error, NatsError) as error:
            raise ObjectStoreError(f"{self._bucket}: the object could not be written: {_reason(error)}") from error

    def _entry(self, name: str, nuid: str, size: int, chunks: int, digest: bytes) -> Json:
        return {
            "name": name,
            "options": {"max_chunk_size": self._chunk_size()},
            "bucket": self._bucket,
            "nuid": nuid,
            "size": size,
            "mtime": datetime.now(UTC).isoformat(),
            "chunks": chunks,
            "digest": _DIGEST + urlsafe_b64encode(digest).decode(),
            "deleted": False,
        }

    async def info(self, name: str) -> StoredObject | None:
        """The object's entry; None where there is no such object. Raises :class:`ObjectStoreError`."""
        try:
            found = await last_message_of_subject(self._nc, self._stream, self._entry_subject(name))
        except JetStreamError as error:
            raise ObjectStoreError(
                f"{self._bucket}: the object could not be looked for: {error.description}"
            ) from error
        return None if found is None else _stored(found.body)

    async def read(self, stored: StoredObject) -> AsyncGenerator[bytes, None]:
        """The object's bytes, chunk by chunk. Raises :class:`ObjectStoreError` where they end early."""
        left = stored.size
        if not left:
            return
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=60.0, mem_storage=True
        )
        try:
            chunks = await self._js.pull_subscribe(self._chunk_subject(stored.nuid), stream=self._stream, config=config)
            try:
                while left > 0:
                    for message in await chunks.fetch(_CHUNKS_AT_ONCE, timeout=_ANSWER_S):
                        left -= len(message.data)
                        yield message.data
                        if left <= 0:
                            break
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_CLEANUP_S):
                    await chunks.unsubscribe()
        except (Error, NatsError) as error:
            raise ObjectStoreError(f"{self._bucket}: the object could not be read: {_reason(error)}") from error

    async def remove(self, name: str) -> bool:
        """Remove an object without a trace; false where it was not there. Raises :class:`ObjectStoreError`."""
        stored = await self.info(name)
        await self._purge(self._entry_subject(name))
        if stored is not None:
            await self._purge(self._chunk_subject(stored.nuid))
        return stored is not None

    async def names(self, prefix: str) -> list[StoredObject]:
        """The entries of all objects whose name begins with *prefix*. Raises :class:`ObjectStoreError`."""
        found: list[StoredObject] = []
        for subject in await self._subjects(f"$O.{self._bucket}.M.>"):
            name = _name_in(subject)
            if name.startswith(prefix) and (stored := await self.info(name)) is not None:
                found.append(stored)
        return found

    async def remove_torn(self, *, before: int) -> int:
        """Remove chunks that belong to no object and were last added to before a moment; of how many objects.

        Times are microseconds since the epoch. Raises :class:`ObjectStoreError`.
        """
        whole = {stored.nuid for stored in await self.names("")}
        removed = 0
        for subject in await self._subjects(f"$O.{self._bucket}.C.>"):
            if subject.rpartition(".")[2] in whole:
                continue
            last = await last_message_of_subject(self._nc, self._stream, subject)
            if last is not None and last.stored_at < before:
                await self._purge(subject)
                removed += 1
        return removed

    async def _subjects(self, pattern: str) -> list[str]:
        found: list[str] = []
        try:
            while True:
                asked: Json = {"subjects_filter": pattern, "offset": len(found)}
                answer = await api_request(self._nc, f"STREAM.INFO.{self._stream}", asked)
                subjects = section(section(answer, "state"), "subjects")
                found += subjects
                if not subjects or len(found) >= integer(answer, "total"):
                    return found
        except JetStreamError as error:
            raise ObjectStoreError(f"{self._bucket}: the store could not be looked at: {error.description}") from error

    async def _purge(self, subject: str) -> None:
        try:
            await api_request(self._nc, f"STREAM.PURGE.{self._stream}", {"filter": subject})
        except JetStreamError as error:
            raise ObjectStoreError(f"{self._bucket}: an object could not be removed: {error.description}") from error

    async def _purge_quietly(self, subject: str) -> None:
        """What cannot be removed now is removed as torn later."""
        try:
            await self._purge(subject)
        except ObjectStoreError:
            return

    def _entry_subject(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{urlsafe_b64encode(name.encode()).decode()}"

    def _chunk_subject(self, nuid: str) -> str:
        return f"$O.{self._bucket}.C.{nuid}"


async def _even(parts: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of one size, the last one excepted."""
    waiting = bytearray()
    async for part in parts:
        waiting += part
        while len(waiting) >= size:
            with memoryview(waiting) as whole:
                chunk = bytes(whole[:size])
            del waiting[:size]
            yield chunk
    if waiting:
        yield bytes(waiting)


def _stored(body: bytes) -> StoredObject | None:
    """An entry that another client may have written; None for one that tells of no object."""
    try:
        entry = orjson.loads(body)
        if entry.get("deleted") or entry.get("options", {}).get("link"):
            return None
        digest = urlsafe_b64decode(str(entry["digest"]).partition("=")[2] + "==")
        return StoredObject(
            str(entry["name"]),
            str(entry["nuid"]),
            int(entry.get("size") or 0),
            digest.hex(),
            str(entry.get("mtime", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _name_in(subject: str) -> str:
    """The name in an entry's subject; empty for one that is none."""
    try:
        return urlsafe_b64decode(subject.rpartition(".")[2] + "==").decode()
    except ValueError:
        return ""


def _reason(error: Exception) -> str:
    return getattr(error, "description", None) or type(error).__name__


# -- whole objects


async def has_object(nc: Client, bucket: str, name: str) -> bool:
    """Whether the bucket holds the object. Raises :class:`AdapterError` where the server does not answer."""
    return await ObjectStore(nc, bucket).info(name) is not None


async def fetch_object(nc: Client, bucket: str, name: str, file: Path) -> None:
    """Write the object to *file*, chunk by chunk; its digest is checked.

    Raises :class:`AdapterError` where it is gone (whole or in part), damaged or does not come, ``OSError`` where it
    cannot be written.
    """
    store = ObjectStore(nc, bucket)
    stored = await store.info(name)
    if stored is None:
        raise ObjectStoreError(f"{bucket}: there is no such object")
    digest = hashlib.sha256()
    with file.open("wb") as written:
        async with aclosing(store.read(stored)) as parts:
            async for part in parts:
                digest.update(part)
                await anyio.to_thread.run_sync(written.write, part)
    if digest.hexdigest() != stored.sha256:
        raise ObjectStoreError(f"{bucket}: the object is damaged")
