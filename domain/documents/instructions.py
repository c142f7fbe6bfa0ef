"""Documents that say how a video is made: what makes a version fit to be approved."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from contracts.errors import Detail, ErrorCode, JsonObject, Problem, problem

_LONG_TEXT: Final = 2_000
_STEP: Final = "step"


class BlockFacts(Protocol):
    """A part of an instruction."""

    @property
    def block_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def text(self) -> str: ...


class ValidationStatus(StrEnum):
    """``INVALID`` is stored all the same, but neither approved nor exported."""

    VALID = "VALID"
    WARN = "WARN"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about a version that its reader should know; ``block_id`` where one block causes it."""

    code: str
    message: str
    block_id: str | None = None

    def as_json(self) -> JsonObject:
        told: JsonObject = {"code": self.code, "message": self.message}
        return told if self.block_id is None else {**told, "block_id": self.block_id}


@dataclass(frozen=True, slots=True)
class Validation:
    """How a version was judged."""

    status: ValidationStatus
    issues: tuple[Issue, ...] = ()


def validate(blocks: Sequence[BlockFacts]) -> Validation:
    """Without a block or with an empty text it is invalid; without a step or with a very long text it is doubtful."""
    wrong = [] if blocks else [NO_BLOCKS]
    wrong += [Issue("empty_text", "the block has no text", block.block_id) for block in blocks if not block.text]
    doubtful = [] if not blocks or any(block.type == _STEP for block in blocks) else [NO_STEP]
    doubtful += [
        Issue("long_text", "the text has more than 2,000 characters", block.block_id)
        for block in blocks
        if len(block.text) > _LONG_TEXT
    ]
    if wrong:
        return Validation(ValidationStatus.INVALID, (*wrong, *doubtful))
    return Validation(ValidationStatus.WARN if doubtful else ValidationStatus.VALID, tuple(doubtful))


def version_conflict(current: int) -> Problem:
    """What was read is not the newest version any more."""
    return problem(
        ErrorCode.VERSION_CONFLICT,
        "the instruction has a newer version",
        [Detail("", "version_conflict", "Version should be the newest", {"current_version": current})],
    )


def same_blocks(one: Sequence[BlockFacts], other: Sequence[BlockFacts]) -> bool:
    """Whether two documents say the same in the same order."""
    return [_said(block) for block in one] == [_said(block) for block in other]


def _said(block: BlockFacts) -> tuple[str, str, str]:
    return (block.block_id, str(block.type), block.text)


NO_BLOCKS: Final = Issue("no_blocks", "there is no block")
NO_STEP: Final = Issue("no_step", "there is no step")
