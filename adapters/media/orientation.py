"""Which way up a picture is to be shown. Cameras turn the picture in its header (Exif), not its pixels."""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from PIL import Image

_ORIENTATION: Final = 0x0112

_TURNS: Final[Mapping[object, Image.Transpose]] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
SIDEWAYS: Final = frozenset(
    {
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
    }
)
"""Turns after which width and height have changed places."""


def turn_of(picture: Image.Image) -> Image.Transpose | None:
    """How to turn a picture that was opened and not read yet, so that it is upright.

    A header that cannot be read says nothing: such a picture is shown as it is.
    The library may warn; its callers have warnings off, as they must to open a picture at all.
    """
    header = picture.info.get("exif")
    if not isinstance(header, bytes):
        return None
    exif = Image.Exif()
    try:
        exif.load(header)
        return _TURNS.get(exif.get(_ORIENTATION))
    except (SyntaxError, struct.error, OSError, ValueError, TypeError, LookupError, OverflowError):
        return None
