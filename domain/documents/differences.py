"""How two versions of a document differ, block by block."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from contracts.errors import JsonObject
from domain.documents.instructions import BlockFacts


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"
    """The same words at another place among the blocks that both versions have."""


@dataclass(frozen=True, slots=True)
class BlockDifference:
    """What became of one block; ``before`` and ``after`` are its texts where it was and is."""

    block_id: str
    change: Change
    before: str | None
    after: str | None

    def as_json(self) -> JsonObject:
        told: JsonObject = {"block_id": self.block_id, "change": str(self.change)}
        if self.change is not Change.MOVED:
            told |= {name: text for name, text in (("before", self.before), ("after", self.after)) if text is not None}
        return told


def difference(before: Sequence[BlockFacts], after: Sequence[BlockFacts]) -> list[BlockDifference]:
    """What changed, in the order of *after*; what was removed comes last."""
    old = {block.block_id: block for block in before}
    new_ids = [block.block_id for block in after]
    kept = set(new_ids) & old.keys()
    places = {block_id: at for at, block_id in enumerate(each for each in new_ids if each in kept)}
    old_places = {
        block_id: at for at, block_id in enumerate(block.block_id for block in before if block.block_id in kept)
    }
    found: list[BlockDifference] = []
    for block in after:
        was = old.get(block.block_id)
        if was is None:
            found.append(BlockDifference(block.block_id, Change.ADDED, None, block.text))
        elif (was.text, str(was.type)) != (block.text, str(block.type)):
            found.append(BlockDifference(block.block_id, Change.CHANGED, was.text, block.text))
        elif places[block.block_id] != old_places[block.block_id]:
            found.append(BlockDifference(block.block_id, Change.MOVED, was.text, block.text))
    gone = set(new_ids)
    return found + [
        BlockDifference(block.block_id, Change.REMOVED, block.text, None)
        for block in before
        if block.block_id not in gone
    ]
