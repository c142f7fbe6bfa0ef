"""What an owner asks of anchors: places in an instruction, and the pictures that belong there."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Discriminator, Field, StringConstraints
from pydantic.dataclasses import dataclass

from contracts.errors import JsonObject
from contracts.payloads.base import CLOSED, BrokenRule, FirstViolations, Payload, RuledPayload
from contracts.payloads.callbacks import Ordinal
from contracts.payloads.commands.jobs import Page
from contracts.values.states import Resolution
from contracts.values.types import MAX_COUNT, Count, Flag, Identifier, MessageId

MAX_OPS: Final = 100
_END_BEFORE_START: Final = BrokenRule(("char_range", "end"), "end_before_start", "A range should end after it starts")
_ONE_ADDRESS: Final = BrokenRule(
    ("block_id",), "block_or_range", "Either block_id or char_range should be given, not both"
)
_ONE_PICTURE: Final = BrokenRule(
    ("asset_id",), "asset_or_timestamp", "Either asset_id or timestamp_ms should be given, not both"
)


@dataclass(frozen=True, slots=True, config=CLOSED)
class CharRange:
    """Characters of a block, or of the whole document where no block is named: its texts, a line break between two."""

    start: Count
    end: Count
    block_id: MessageId | None = None


class AnchorCreate(RuledPayload):
    """anchor.create 1.0: a place in a version, by block or by characters."""

    instruction_id: Identifier
    version: Ordinal
    block_id: MessageId | None = None
    char_range: CharRange | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        """One address, and a range that has a character in it."""
        where, characters = raw.get("block_id"), raw.get("char_range")
        broken = [_ONE_ADDRESS] if (where is None) is (characters is None) else []
        if isinstance(characters, dict):
            start, end = characters.get("start"), characters.get("end")
            if isinstance(start, int) and isinstance(end, int) and end <= start:
                broken.append(_END_BEFORE_START)
        return broken


class AnchorGet(Payload):
    """anchor.get 1.0: found again in the newest version, or in a given one."""

    anchor_id: Identifier
    version: Ordinal | None = None
    include_deleted_assets: Flag = False


class AnchorList(Page):
    """anchor.list 1.0: those of one instruction, as they are found in a version."""

    instruction_id: Identifier
    version: Ordinal | None = None
    block_id: MessageId | None = None
    resolution: Resolution | None = None
    include_deleted_assets: Flag = False


class AnchorAttach(Payload):
    """anchor.attach 1.0"""

    anchor_id: Identifier
    asset_id: Identifier


class AnchorDetach(AnchorAttach):
    """anchor.detach 1.0"""


class AnchorReplace(RuledPayload):
    """anchor.replace 1.0: by another asset, or by a picture that a worker cuts out of the video."""

    anchor_id: Identifier
    asset_id: Identifier | None = None
    timestamp_ms: Count | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        both_or_neither = (raw.get("asset_id") is None) is (raw.get("timestamp_ms") is None)
        return (_ONE_PICTURE,) if both_or_neither else ()


Pixel: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MAX_COUNT)]
"""A distance from the top left corner."""

Extent: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]

Color: TypeAlias = Annotated[str, StringConstraints(strict=True, pattern=r"^#[0-9a-fA-F]{6}$")]
"""``#rrggbb``"""


Words: TypeAlias = Annotated[
    str,
    StringConstraints(
        strict=True, min_length=1, max_length=500, pattern=r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]+$"
    ),
]
"""1 to 500 characters, line breaks among them."""


@dataclass(frozen=True, slots=True, config=CLOSED)
class BoxOp:
    """A frame."""

    type: Literal["box"]
    x: Pixel
    y: Pixel
    width: Extent
    height: Extent
    color: Color


@dataclass(frozen=True, slots=True, config=CLOSED)
class ArrowOp:
    """From the first point to the second, whose end has the head."""

    type: Literal["arrow"]
    x1: Pixel
    y1: Pixel
    x2: Pixel
    y2: Pixel
    color: Color


@dataclass(frozen=True, slots=True, config=CLOSED)
class TextOp:
    """Words; ``size`` is the height of the letters in pixels."""

    type: Literal["text"]
    x: Pixel
    y: Pixel
    text: Words
    size: Annotated[int, Field(strict=True, ge=6, le=400)]
    color: Color


@dataclass(frozen=True, slots=True, config=CLOSED)
class BlurOp:
    """What should not be readable."""

    type: Literal["blur"]
    x: Pixel
    y: Pixel
    width: Extent
    height: Extent
    radius: Annotated[int, Field(strict=True, ge=1, le=200)]


AnnotationOp: TypeAlias = Annotated[BoxOp | ArrowOp | TextOp | BlurOp, Discriminator("type")]


class AnchorAnnotate(Payload):
    """anchor.annotate 1.0: draw on a picture of the anchor; the picture itself stays as it is."""

    anchor_id: Identifier
    asset_id: Identifier
    ops: Annotated[list[AnnotationOp], Field(min_length=1, max_length=MAX_OPS), FirstViolations("type")]
