"""Records from files and standard input: JSON Lines, JSON arrays, and JSON documents one after another.

A portion is what one read gave, so that a pipe that is written to slowly is passed on as it comes, and memory stays
bounded whatever the file's size. A record keeps its bytes: what is published is what the file says.
"""

import codecs
import json
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import orjson

from contracts.errors import JsonValue

LONGEST_RECORD: Final = 16 * 1024 * 1024
_READ_BYTES: Final = 512 * 1024
_MOST_IN_PORTION: Final = 1_000
_BOM: Final = codecs.BOM_UTF8
_BLANKS: Final = b" \t\r\n"
_BLANK_TEXT: Final = re.compile(r"[ \t\r\n]*")
_STDIN: Final = 0

T = TypeVar("T")


class Layout(StrEnum):
    """How records stand in a file."""

    AUTO = "auto"
    LINES = "jsonl"
    DOCUMENT = "json"


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or standard input where there is no path. ``size`` in bytes where it can be known."""

    name: str
    path: Path | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON value; ``place`` is ``file:line`` of its first character."""

    place: str
    body: bytes
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What is no JSON value; ``place`` ends in the character where it stops being one, ``reason`` never repeats it.

    ``body`` is the line as it stands in the file; empty where it is not known where that would end.
    """

    place: str
    reason: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Portion:
    """What came in together; ``read_bytes`` of the source were read for it."""

    items: list[Record | Unreadable]
    read_bytes: int


def source_of(name: str) -> Source:
    """The source that an argument names: ``-`` is standard input. Raises ``OSError`` where it cannot be read."""
    if name == "-":
        return Source("stdin", None, None)
    path = Path(name)
    with path.open("rb"):
        size = path.stat().st_size
    return Source(name, path, size if path.is_file() else None)


def read_records(source: Source, layout: Layout) -> Iterator[Portion]:
    """The records of a source in their order. Raises ``OSError`` where reading fails on the way."""
    with _opened(source) as descriptor:
        chunks = _Chunks(descriptor)
        if layout is Layout.AUTO:
            layout = _layout_of(chunks.first_line())
        yield from _lines(source.name, chunks) if layout is Layout.LINES else _documents(source.name, chunks)


@contextmanager
def _opened(source: Source) -> Iterator[int]:
    # Not the buffered objects: one of them, blocked in a thread, keeps the interpreter from ending.
    if source.path is None:
        yield _STDIN
        return
    descriptor = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Chunks:
    """What a descriptor gives, as it comes; the first of it can be looked at before it is taken."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ahead: bytes | None = None
        self._started = False

    def first_line(self) -> bytes:
        """The first line with anything in it, or as much of the beginning as a record may be long."""
        seen = b""
        while len(seen) < LONGEST_RECORD and b"\n" not in seen.lstrip(_BLANKS):
            chunk = self._read()
            if not chunk:
                break
            seen += chunk
        self._ahead = seen
        return seen.lstrip(_BLANKS).partition(b"\n")[0].rstrip(_BLANKS)

    def next(self) -> bytes:
        """Empty at the end."""
        ahead, self._ahead = self._ahead, None
        return ahead or self._read()

    def _read(self) -> bytes:
        chunk = os.read(self._descriptor, _READ_BYTES)
        if not self._started:
            # The byte order mark is the file's, not the first message's.
            while chunk and len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                more = os.read(self._descriptor, _READ_BYTES)
                if not more:
                    break
                chunk += more
            chunk = chunk.removeprefix(_BOM) or (os.read(self._descriptor, _READ_BYTES) if chunk else b"")
            self._started = True
        return chunk


def _layout_of(first_line: bytes) -> Layout:
    """Lines, unless the first one opens an array or is the cut-off beginning of something longer."""
    if first_line.startswith(b"["):
        return Layout.DOCUMENT
    text = first_line.decode(errors="replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return Layout.DOCUMENT if error.pos >= len(text) else Layout.LINES
    except (ValueError, RecursionError):
        return Layout.LINES
    return Layout.LINES


# -- JSON Lines


def _lines(name: str, chunks: _Chunks) -> Iterator[Portion]:
    number, rest, too_long = 0, b"", False
    while chunk := chunks.next():
        *whole, rest = (rest + chunk).split(b"\n")
        items: list[Record | Unreadable] = []
        for line in whole:
            number += 1
            if too_long:
                items.append(Unreadable(f"{name}:{number}", _TOO_LONG))
                too_long = False
            elif line.strip(_BLANKS):
                items.append(_record(f"{name}:{number}", line))
        if len(rest) > LONGEST_RECORD:
            rest, too_long = b"", True
        yield Portion(items, len(chunk))
    if too_long:
        yield Portion([Unreadable(f"{name}:{number + 1}", _TOO_LONG)], 0)
    elif rest.strip(_BLANKS):
        yield Portion([_record(f"{name}:{number + 1}", rest)], 0)


def _record(place: str, text: bytes) -> Record | Unreadable:
    body = text.strip(_BLANKS)
    try:
        return Record(place, body, orjson.loads(body))
    except orjson.JSONDecodeError as error:
        # The library's sentence may repeat what it read; where it stopped says enough.
        return Unreadable(f"{place}:{error.pos + 1}", "not JSON", body)


_TOO_LONG: Final = f"longer than {LONGEST_RECORD // 2**20} MiB"


# -- JSON documents


class _BrokenError(Exception):
    """The document cannot be read on from here."""


Step: TypeAlias = Generator[Record | None, None, T]
"""A step of reading: gives None where it must wait for more, records as they are complete, and returns its result."""


class _Document:
    """A document on its way: what is read of it and not yet taken."""

    def __init__(self, name: str, chunks: _Chunks) -> None:
        self._name = name
        self._chunks = chunks
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._position = 0
        self._line = 1
        self._ended = False
        self.read_bytes = 0

    @property
    def place(self) -> str:
        return f"{self._name}:{self._line}"

    def records(self) -> Step[None]:
        """The elements of an array, or the values that stand one after another."""
        if (yield from self._peek()) == "[":
            self._take(1)
            yield from self._elements()
            if (yield from self._peek()):
                raise _BrokenError("something follows the array")
        else:
            while (yield from self._peek()):
                yield from self._value()

    def _elements(self) -> Step[None]:
        following = yield from self._peek()
        while following != "]":
            yield from self._value()
            following = yield from self._peek()
            if following == ",":
                self._take(1)
                if (yield from self._peek()) == "]":
                    raise _BrokenError("not JSON: a comma before the end of the array")
            elif following != "]":
                raise _BrokenError("not JSON: a comma is missing" if following else "the array is not closed")
        self._take(1)

    def _peek(self) -> Step[str]:
        """The next character that is no white space; empty at the end."""
        while True:
            blanks = _BLANK_TEXT.match(self._text, self._position)
            self._take(blanks.end() - self._position if blanks else 0)
            if self._position < len(self._text):
                return self._text[self._position]
            if self._ended:
                return ""
            yield None
            self._fill()

    def _value(self) -> Step[None]:
        place = self.place
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                complaint = f"not JSON, from line {self._line_at(error.pos)} on"
            except RecursionError:
                raise _BrokenError("nested too deeply") from None
            except ValueError:
                raise _BrokenError("a number has too many digits") from None
            else:
                yield Record(place, self._take(end - self._position).encode(), value)
                return
            if self._ended:
                raise _BrokenError(complaint)
            if len(self._text) - self._position > LONGEST_RECORD:
                raise _BrokenError(f"{complaint}, or a record {_TOO_LONG}")
            yield None
            self._fill()

    def _line_at(self, position: int) -> int:
        return self._line + self._text.count("\n", self._position, position)

    def _take(self, count: int) -> str:
        taken = self._text[self._position : self._position + count]
        self._line += taken.count("\n")
        self._position += count
        return taken

    def _fill(self) -> None:
        """Read as much again as is waiting, so that a long record is not scanned anew for each chunk."""
        self._text, self._position = self._text[self._position :], 0
        wanted = max(1, len(self._text))
        while wanted > 0 and not self._ended:
            chunk = self._chunks.next()
            self._ended = not chunk
            self.read_bytes += len(chunk)
            try:
                decoded = self._utf8.decode(chunk, final=self._ended)
            except UnicodeDecodeError:
                raise _BrokenError("not UTF-8") from None
            self._text += decoded
            wanted -= len(decoded)


def _documents(name: str, chunks: _Chunks) -> Iterator[Portion]:
    document = _Document(name, chunks)
    items: list[Record | Unreadable] = []
    told = 0
    try:
        for record in document.records():
            if record is not None:
                items.append(record)
            if items and (record is None or len(items) == _MOST_IN_PORTION):
                yield Portion(items, document.read_bytes - told)
                items, told = [], document.read_bytes
    except _BrokenError as broken:
        items.append(Unreadable(document.place, f"{broken}; what follows was not read"))
    yield Portion(items, document.read_bytes - told)
