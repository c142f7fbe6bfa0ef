"""Writing the file of an export: the same inputs give the same bytes, on every machine, whenever it is done.

Names, order, times and modes in an archive are fixed, and nothing in it is compressed: a compressor of another version
would write other bytes. Pictures are copied piece by piece.
"""

import hashlib
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from contracts.errors import JsonObject
from domain.documents.exports import ExportFormat
from domain.documents.rendering import Document, Embedded, Part, Picture, html_parts, markdown

_PIECE: Final = 3 * 64 * 1024
"""A multiple of three, so that base64 of the pieces is base64 of the whole."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644 << 16


def write_export(
    file: Path, export_format: ExportFormat, document: Document, files: Mapping[str, Path], provenance: JsonObject
) -> str:
    """Write the export into *file*; the SHA-256 of its bytes. *files* has the bytes of the pictures by asset.

    Raises ``OSError``.
    """
    with file.open("wb") as written:
        match export_format:
            case ExportFormat.MD:
                written.write(markdown(document, beside=False).encode())
            case ExportFormat.HTML:
                for part in _bytes_of(html_parts(document), files):
                    written.write(part)
            case ExportFormat.ZIP:
                _write_archive(written, document, files, provenance)
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _write_archive(written: BinaryIO, document: Document, files: Mapping[str, Path], provenance: JsonObject) -> None:
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "document.md", [markdown(document, beside=True).encode()])
        _add(archive, "document.html", _bytes_of(html_parts(document), files))
        _add(archive, "provenance.json", [_readable(provenance)])
        pictures = {picture.name: picture for block in document.blocks for picture in block.pictures}
        for name in sorted(pictures):
            _add(archive, name, _pieces(files[pictures[name].asset_id]))


def _add(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = _MODE
    entry.create_system = 3
    with archive.open(entry, "w", force_zip64=True) as opened:
        for part in parts:
            opened.write(part)


def _bytes_of(parts: Iterable[Part], files: Mapping[str, Path]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, Embedded):
            yield from map(b64encode, _pieces(files[part.picture.asset_id]))
        else:
            yield part.encode()


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece


def _readable(provenance: JsonObject) -> bytes:
    return orjson.dumps(provenance, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def picture_name(number: int, picture_sha256: str, suffix: str) -> str:
    """Where a picture lies in an archive: never anything that its sender wrote."""
    return f"assets/{number:03d}-{picture_sha256[:12]}.{suffix}"


__all__ = ["Picture", "picture_name", "write_export"]
