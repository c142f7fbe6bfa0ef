"""What an owner asks of instructions and of the work on them."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from contracts.errors import JsonObject
from contracts.payloads.base import FIRST_VIOLATIONS, BrokenRule, Payload, RuledPayload
from contracts.payloads.callbacks import Block, Ordinal, repeated
from contracts.values.types import Count, Flag, Identifier, MessageId, Text

MAX_BLOCKS: Final = 2_000
MAX_TIMESTAMPS: Final = 1_000


class InstructionGet(Payload):
    """instruction.get 1.0: the newest version or a given one; with what led to it, or how it differs from another."""

    instruction_id: Identifier
    version: Ordinal | None = None
    compare_to: Ordinal | None = None
    history: Flag = False


class InstructionPut(RuledPayload):
    """instruction.put 1.0: a new version, written on top of the one that was read."""

    instruction_id: Identifier
    base_version: Ordinal
    blocks: Annotated[list[Block], Field(max_length=MAX_BLOCKS), FIRST_VIOLATIONS]

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Iterable[BrokenRule]:
        """No block stands twice."""
        return repeated(raw.get("blocks"), ("blocks",), "block_id")


class InstructionRegenerate(Payload):
    """instruction.regenerate 1.0: have a worker write some blocks anew."""

    instruction_id: Identifier
    base_version: Ordinal
    block_ids: Annotated[list[MessageId], Field(min_length=1, max_length=MAX_BLOCKS), FIRST_VIOLATIONS]
    prompt: Text | None = None


class PictureFormat(StrEnum):
    JPG = "jpg"
    PNG = "png"


class ScreenshotExtract(Payload):
    """screenshot.extract 1.0: have a worker cut pictures out of a job's video."""

    job_id: Identifier
    timestamps_ms: Annotated[list[Count], Field(min_length=1, max_length=MAX_TIMESTAMPS), FIRST_VIOLATIONS]
    width: Annotated[int, Field(strict=True, ge=16, le=8_192)] | None = None
    format: PictureFormat = PictureFormat.PNG
