"""File names as others may write them: kept without a path, and told in a header without breaking it."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

_LONGEST: Final = 200
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f-\x9f"*:<>?|\\/\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]')
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9 ._()-]")


def safe_name(given: str) -> str:
    """The last part of what may be a path, without what a file system or a reader could stumble over."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", given))[-1]
    kept = _UNSAFE.sub("_", last).strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    if len(kept) > _LONGEST and dot and len(suffix) <= 10:
        kept = f"{stem[: _LONGEST - len(suffix) - 1]}.{suffix}"
    return kept[:_LONGEST] or "file"


def content_disposition(name: str, *, attachment: bool = False) -> str:
    """The header (RFC 6266): a plain form for everybody, and the exact one for those who read it."""
    plain = _NOT_PLAIN.sub("_", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()) or "file"
    how = "attachment" if attachment else "inline"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
