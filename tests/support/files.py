"""Files as people upload them: made anew, small, real."""

import hashlib
import io
import struct
import zlib
from typing import Final

from PIL import Image


def png(width: int = 64, height: int = 48, color: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    return _picture("PNG", width, height, color)


def jpg(width: int = 64, height: int = 48, color: tuple[int, int, int] = (30, 30, 200)) -> bytes:
    return _picture("JPEG", width, height, color)


def _picture(kind: str, width: int, height: int, color: tuple[int, int, int]) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), color).save(written, kind)
    return written.getvalue()


def box(kind: bytes, body: bytes, *, size: int | None = None) -> bytes:
    """A box of an ISO base media file, whose size may be a lie."""
    return struct.pack(">I4s", len(body) + 8 if size is None else size, kind) + body


def mp4(length: int = 4_096) -> bytes:
    return box(b"ftyp", b"isom" + b"\0\0\2\0" + b"isomiso2mp41") + box(b"mdat", bytes(length))


def mov(length: int = 4_096) -> bytes:
    return box(b"ftyp", b"qt  " + b"\0\0\2\0" + b"qt  ") + box(b"mdat", bytes(length))


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A small PNG that says it has hundreds of millions of pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1_000), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


EXECUTABLE: Final = b"\x7fELF\x02\x01\x01" + bytes(9_000)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
