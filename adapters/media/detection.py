"""What a file is by its first bytes, whatever it is called: a polyglot is what it begins as."""

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, Protocol

HEAD_BYTES: Final = 8_192
"""So many first bytes are enough to tell."""


class _Matcher(Protocol):
    @property
    def mime(self) -> str: ...
    def match(self, buf: bytes) -> bool: ...


@cache
def _matchers() -> Sequence[_Matcher]:
    """What is taken. A film that names both brands is QuickTime: its own comes first. Loaded with the first file: a
    daemon that has none starts without it."""
    from filetype.types.image import Jpeg, Png
    from filetype.types.video import Mov, Mp4

    return (Jpeg(), Png(), Mov(), Mp4())


class Dimensions(NamedTuple):
    width: int
    height: int


def detect(head: bytes) -> str | None:
    """The media type that the first bytes say; None for all that is not taken."""
    return next((matcher.mime for matcher in _matchers() if matcher.match(head[:HEAD_BYTES])), None)


def dimensions(file: Path) -> Dimensions | None:
    """How large a picture says it is, upright. Only its header is read; None where that cannot be."""
    from PIL import Image, UnidentifiedImageError

    from adapters.media.orientation import SIDEWAYS, turn_of

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=("JPEG", "PNG")) as picture:
                width, height = picture.size
                return Dimensions(height, width) if turn_of(picture) in SIDEWAYS else Dimensions(width, height)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None
