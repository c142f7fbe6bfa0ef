"""Which part of a file a request asks for (RFC 9110): one range, the whole, or one that cannot be had."""

import re
from enum import StrEnum
from typing import Final, NamedTuple

_ONE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*\Z", re.ASCII | re.IGNORECASE)


class Part(NamedTuple):
    """Bytes from ``start`` on, before ``end``."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class NoSuchPart(StrEnum):
    """The range lies outside the file."""

    UNSATISFIABLE = "unsatisfiable"


def part_of(size: int, wanted: str | None, *, condition: str | None, etag: str) -> Part | NoSuchPart | None:
    """The part that ``Range`` asks for; None means the whole.

    *condition* is ``If-Range``: a range is only good for the file that its asker has seen a part of. What is no range
    of bytes, or several at once, is passed over: a server may always send the whole.
    """
    if wanted is None or (condition is not None and condition.strip() != etag):
        return None
    match = _ONE.match(wanted.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        last = int(match[2])
        return Part(max(0, size - last), size) if last and size else NoSuchPart.UNSATISFIABLE
    start = int(match[1])
    end = min(size, int(match[2]) + 1) if match[2] else size
    if match[2] and int(match[2]) < start:
        return None
    return Part(start, end) if start < size else NoSuchPart.UNSATISFIABLE
