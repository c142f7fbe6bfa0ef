"""Blocks that were written anew, laid into a document that may have moved on meanwhile."""

from collections.abc import Collection, Sequence
from typing import Final, TypeVar

from contracts.errors import ErrorCode
from domain.documents.instructions import BlockFacts
from domain.work.work import Failure

B = TypeVar("B", bound=BlockFacts)


def merge_blocks(
    base: Sequence[B], newest: Sequence[B], written: Sequence[B], chosen: Collection[str]
) -> list[B] | Failure:
    """The newest document with the *chosen* blocks as they were *written*; all others stay as they are.

    A chosen block has to say what it said in *base*: where somebody else changed or removed it meanwhile, nothing of
    theirs is overwritten. Of *written* only the chosen blocks are read, and all of them have to be there.
    """
    by_id = {block.block_id: block for block in written}
    if any(block_id not in by_id for block_id in chosen):
        return MISSING
    before = {block.block_id: _content(block) for block in base}
    now = {block.block_id: _content(block) for block in newest}
    if any(now.get(block_id) != before.get(block_id) for block_id in chosen):
        return MOVED_ON
    return [by_id[block.block_id] if block.block_id in chosen else block for block in newest]


def _content(block: BlockFacts) -> tuple[str, str]:
    return (str(block.type), block.text)


MISSING: Final = Failure("BLOCKS_MISSING", "the worker did not write all blocks that were asked for", retryable=True)
MOVED_ON: Final = Failure(
    ErrorCode.VERSION_CONFLICT, "a block that was written anew has been changed meanwhile", retryable=False
)
