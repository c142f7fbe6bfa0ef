"""Answers over HTTP: JSON, problems, and files with ranges."""

import asyncio
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Final

import orjson
from msgspec import Struct

from contracts.errors import JsonObject, Problem
from contracts.values.times import MICROS_PER_SECOND
from daemon.http.dispatch import Scope, Send
from domain.assets.ranges import NoSuchPart, Part, part_of

_PIECE: Final = 256 * 1024
_OK, _PARTIAL, _NOT_MODIFIED, _UNSATISFIABLE = 200, 206, 304, 416
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")


def header(scope: Scope, name: bytes) -> str | None:
    """A header of the request, by its name in lower case; the first where it stands several times."""
    found = next((value for key, value in scope["headers"] if key == name), None)
    return None if found is None else bytes(found).decode("latin-1")


async def send_json(send: Send, status: int, body: JsonObject, more: Mapping[str, str] | None = None) -> None:
    written = orjson.dumps(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(written)).encode()),
        (b"cache-control", b"no-store"),
        NOSNIFF,
        *((name.encode(), value.encode("latin-1")) for name, value in (more or {}).items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": written})


async def send_problem(send: Send, problem: Problem, more: Mapping[str, str] | None = None) -> None:
    """The one error shape, with its status."""
    await send_json(send, problem.status, problem.as_json(), more)


class ServedFile(Struct, frozen=True):
    """A file whose bytes never change: its name says what they are."""

    path: Path
    size: int
    sha256: str
    media_type: str
    disposition: str
    kept_at: int
    """Microseconds since the epoch."""

    @property
    def etag(self) -> str:
        return f'"{self.sha256}"'


async def send_file(scope: Scope, send: Send, file: ServedFile, *, max_age_s: int) -> None:
    """The file, or the part of it that the request asks for, piece by piece."""
    if _has_it(header(scope, b"if-none-match"), file.etag):
        await _start(send, _NOT_MODIFIED, file, max_age_s, [])
        await send({"type": "http.response.body", "body": b""})
        return
    # Parts are defined for GET alone (RFC 9110).
    wanted_range = header(scope, b"range") if scope["method"] == "GET" else None
    part = part_of(file.size, wanted_range, condition=header(scope, b"if-range"), etag=file.etag)
    if isinstance(part, NoSuchPart):
        await _start(send, _UNSATISFIABLE, file, max_age_s, [("content-range", f"bytes */{file.size}")], length=0)
        await send({"type": "http.response.body", "body": b""})
        return
    wanted = part or Part(0, file.size)
    told = [] if part is None else [("content-range", f"bytes {part.start}-{part.end - 1}/{file.size}")]
    opened = await asyncio.to_thread(file.path.open, "rb")
    try:
        await _start(send, _OK if part is None else _PARTIAL, file, max_age_s, told, length=wanted.size)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await asyncio.to_thread(opened.seek, wanted.start)
        left = wanted.size
        while left > 0:
            piece = await asyncio.to_thread(opened.read, min(_PIECE, left))
            left = left - len(piece) if piece else 0
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        if not wanted.size:
            await send({"type": "http.response.body", "body": b""})
    finally:
        opened.close()


def _has_it(given: str | None, etag: str) -> bool:
    """Whether the asker has the file already; a proxy may have weakened its tag."""
    return given is not None and (
        given.strip() == "*" or etag in [each.strip().removeprefix("W/") for each in given.split(",")]
    )


async def _start(
    send: Send,
    status: int,
    file: ServedFile,
    max_age_s: int,
    told: Sequence[tuple[str, str]],
    *,
    length: int | None = None,
) -> None:
    headers = [
        ("etag", file.etag),
        ("accept-ranges", "bytes"),
        ("last-modified", formatdate(file.kept_at / MICROS_PER_SECOND, usegmt=True)),
        # Only for the holder of the URL, and no longer than it is good for; the bytes themselves never change.
        ("cache-control", f"private, max-age={max_age_s}, immutable"),
        ("content-type", file.media_type),
        ("content-disposition", file.disposition),
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"),
        ("cross-origin-resource-policy", "cross-origin"),
        *told,
    ]
    if length is not None:
        headers.append(("content-length", str(length)))
    written = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": [*written, NOSNIFF]})
