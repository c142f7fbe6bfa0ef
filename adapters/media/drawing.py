"""Drawing on pictures: the same picture and the same operations give the same bytes, on every machine.

Everything that could differ is pinned: the font comes with the program and is laid out by Pillow's own engine, and the
encoder looks for no matches but runs (RLE), so that its bytes do not depend on what a processor hashes with.
"""

import math
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from PIL import Image, ImageDraw, ImageFilter, ImageFont, UnidentifiedImageError

from adapters.media.orientation import turn_of
from contracts.payloads.commands.anchors import AnnotationOp, ArrowOp, BlurOp, BoxOp, TextOp

MOST_PIXELS: Final = 24_000_000
"""What a large camera makes. Three bytes for each are in memory while they are drawn on."""

_FONT: Final = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_ENCODER: Final[Mapping[str, Any]] = {"compress_level": 6, "compress_type": zlib.Z_RLE}
_LINE_SHARE: Final = 160
_HEAD_LENGTHS: Final = 5
_HEAD_ANGLE: Final = math.radians(26)

Picture: TypeAlias = Image.Image


class NotAPictureError(Exception):
    """The bytes cannot be read as a picture: they are damaged or cut off."""


class TooManyPixelsError(Exception):
    """The picture says that it has more pixels than are taken."""


class OutsideError(Exception):
    """An operation lies outside the picture. ``index`` is its place, ``field`` what is too large."""

    def __init__(self, index: int, field: str) -> None:
        super().__init__(f"{index}.{field}")
        self.index = index
        self.field = field


def annotate(source: Path, ops: Sequence[AnnotationOp], target: Path) -> tuple[int, int]:
    """Draw *ops* in their order on the picture in *source* and write a PNG to *target*; its width and height.

    Raises :class:`NotAPictureError`, :class:`TooManyPixelsError`, :class:`OutsideError`, ``OSError``.
    """
    picture = _opened(source)
    for index, op in enumerate(ops):
        _check(index, op, picture.size)
    for op in ops:
        picture = _DRAW[type(op)](picture, op)
    picture.save(target, "PNG", **_ENCODER)
    return picture.size


def _opened(source: Path) -> Picture:
    """The picture, upright, in colours that can be drawn in. Its header is judged before a pixel is read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source, formats=("JPEG", "PNG")) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    raise TooManyPixelsError
                turn = turn_of(opened)
                opened.load()
                upright = opened if turn is None else opened.transpose(turn)
    except Image.DecompressionBombError:
        raise TooManyPixelsError from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, zlib.error) as error:
        raise NotAPictureError(str(error)) from error
    transparent = "A" in upright.getbands() or "transparency" in upright.info
    drawn = upright.convert("RGBA" if transparent else "RGB")
    drawn.info.clear()
    return drawn


def _check(index: int, op: AnnotationOp, size: tuple[int, int]) -> None:
    """Every coordinate lies within the picture. Raises :class:`OutsideError`."""
    width, height = size
    for field, value in _reach(op):
        if value >= (width if field in _ACROSS else height):
            raise OutsideError(index, field)


_ACROSS: Final = frozenset({"x", "x1", "x2", "width"})


def _reach(op: AnnotationOp) -> Sequence[tuple[str, int]]:
    """The farthest pixel that each field reaches."""
    if isinstance(op, ArrowOp):
        return (("x1", op.x1), ("y1", op.y1), ("x2", op.x2), ("y2", op.y2))
    corner = (("x", op.x), ("y", op.y))
    if isinstance(op, TextOp):
        return corner
    return (*corner, ("width", op.x + op.width - 1), ("height", op.y + op.height - 1))


def _line(picture: Picture) -> int:
    """A line that is seen on a picture of any size."""
    return max(2, max(picture.size) // _LINE_SHARE)


def _box(picture: Picture, op: BoxOp) -> Picture:
    corners = (op.x, op.y, op.x + op.width - 1, op.y + op.height - 1)
    ImageDraw.Draw(picture).rectangle(corners, outline=op.color, width=min(_line(picture), max(1, op.width // 2)))
    return picture


def _arrow(picture: Picture, op: ArrowOp) -> Picture:
    draw, line = ImageDraw.Draw(picture), _line(picture)
    length = math.hypot(op.x2 - op.x1, op.y2 - op.y1)
    head = min(float(line * _HEAD_LENGTHS), max(length, 1.0))
    angle = math.atan2(op.y2 - op.y1, op.x2 - op.x1)
    # The shaft ends within the head, whose point is the end itself.
    inner = (round(op.x2 - head * 0.7 * math.cos(angle)), round(op.y2 - head * 0.7 * math.sin(angle)))
    draw.line((op.x1, op.y1, *inner), fill=op.color, width=line)
    wings = [
        (round(op.x2 - head * math.cos(angle + turn)), round(op.y2 - head * math.sin(angle + turn)))
        for turn in (_HEAD_ANGLE, -_HEAD_ANGLE)
    ]
    draw.polygon([(op.x2, op.y2), *wings], fill=op.color)
    return picture


def _text(picture: Picture, op: TextOp) -> Picture:
    ImageDraw.Draw(picture).text((op.x, op.y), op.text, font=_font(op.size), fill=op.color)
    return picture


def _blur(picture: Picture, op: BlurOp) -> Picture:
    area = (op.x, op.y, op.x + op.width, op.y + op.height)
    picture.paste(picture.crop(area).filter(ImageFilter.GaussianBlur(op.radius)), area)
    return picture


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT), size, layout_engine=ImageFont.Layout.BASIC)


_DRAW: Final[Mapping[type, Callable[[Picture, Any], Picture]]] = {
    BoxOp: _box,
    ArrowOp: _arrow,
    TextOp: _text,
    BlurOp: _blur,
}
