"""Blocks written anew, laid into a document that may have moved on."""

from contracts.payloads.callbacks import Block, BlockType
from domain.documents.merge import MISSING, MOVED_ON, merge_blocks


def block(block_id: str, text: str) -> Block:
    return Block(block_id, BlockType.STEP, text)


BASE = [block("a", "one"), block("b", "two"), block("c", "three")]
ANEW = [block("b", "two, anew"), block("c", "not asked for")]


def test_only_the_chosen_blocks_change() -> None:
    assert merge_blocks(BASE, BASE, ANEW, {"b"}) == [BASE[0], ANEW[0], BASE[2]]


def test_what_others_wrote_meanwhile_stays() -> None:
    newest = [block("new", "inserted"), BASE[0], BASE[1], block("c", "edited")]

    assert merge_blocks(BASE, newest, ANEW, {"b"}) == [newest[0], newest[1], ANEW[0], newest[3]]


def test_a_chosen_block_that_somebody_changed_or_removed_is_not_overwritten() -> None:
    assert merge_blocks(BASE, [BASE[0], block("b", "edited"), BASE[2]], ANEW, {"b"}) is MOVED_ON
    assert merge_blocks(BASE, [BASE[0], BASE[2]], ANEW, {"b"}) is MOVED_ON


def test_every_chosen_block_has_to_be_written() -> None:
    assert merge_blocks(BASE, BASE, ANEW, {"a", "b"}) is MISSING
