"""Anchors found again: by block and by characters, through edits, moves, splits and deletions."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.payloads.callbacks import Block, BlockType
from contracts.values.states import Resolution
from domain.documents.anchors import (
    Anchor,
    Characters,
    IndexedVersion,
    Place,
    attach,
    detach,
    document_text,
)
from domain.documents.anchors import resolve as resolve_indexed

RESOLVED, MOVED, LOST = Resolution.RESOLVED, Resolution.MOVED, Resolution.LOST


def block(block_id: str, text: str = "") -> Block:
    return Block(block_id, BlockType.STEP, text)


def anchor(block_id: str | None = None, characters: Characters | None = None) -> Anchor:
    return Anchor("anchor-1", "instruction-1", "ada", 1, 0, 0, block_id, characters)


def resolve(at: Anchor, made_in: list[Block], version: list[Block]) -> Place:
    return resolve_indexed(at, IndexedVersion(made_in), IndexedVersion(version))


MADE_IN = [block("a", "Open the door."), block("b", "Go in and close the door."), block("c", "Sit down.")]
DOOR = Characters(20, 24, "b")


def test_a_block_is_found_by_its_id_whatever_it_says() -> None:
    edited = [MADE_IN[0], block("b", "Other words"), MADE_IN[2]]
    assert resolve(anchor("b"), MADE_IN, edited) == Place(RESOLVED, "b", None)
    assert resolve(anchor("b"), MADE_IN, [edited[1], edited[0]]).resolution is MOVED
    assert resolve(anchor("b"), MADE_IN, [MADE_IN[0]]).resolution is LOST


def test_characters_are_followed_through_edits_moves_and_splits() -> None:
    at = anchor(characters=DOOR)
    assert resolve(at, MADE_IN, MADE_IN) == Place(RESOLVED, "b", DOOR)
    longer = [MADE_IN[0], block("b", "Now go in and close the door."), MADE_IN[2]]
    assert resolve(at, MADE_IN, longer) == Place(MOVED, "b", Characters(24, 28, "b"))
    split = [MADE_IN[0], block("b", "Go in"), block("d", "and close the door."), MADE_IN[2]]
    # The two neighbours are equally near, and the earlier one has the word too.
    assert resolve(at, MADE_IN, split) == Place(MOVED, "a", Characters(9, 13, "a"))
    gone = [block("a", "Go in"), block("c", "Sit down.")]
    assert resolve(at, MADE_IN, gone) == Place(LOST, "b", DOOR)


def test_a_range_of_the_whole_document_may_span_blocks() -> None:
    start = document_text(MADE_IN).index("door.\nGo")
    at = anchor(characters=Characters(start, start + 8))
    assert resolve(at, MADE_IN, MADE_IN) == Place(RESOLVED, None, Characters(start, start + 8))
    shorter = [block("a", "The door."), *MADE_IN[1:]]
    assert resolve(at, MADE_IN, shorter) == Place(MOVED, None, Characters(start - 5, start + 3))
    assert resolve(at, MADE_IN, MADE_IN[1:]).resolution is LOST


_WORDS = st.text(alphabet="ab \n\U0001f600é", max_size=12)
_DOCUMENT = st.lists(st.tuples(st.sampled_from("pqrstu"), _WORDS), max_size=6, unique_by=lambda pair: pair[0]).map(
    lambda pairs: [block(block_id, text) for block_id, text in pairs]
)


@given(_DOCUMENT, _DOCUMENT, st.data())
def test_a_resolution_never_invents_text(made_in: list[Block], version: list[Block], data: st.DataObject) -> None:
    """What is found says word for word what was meant, and lies within the text; what is lost is nowhere."""
    texts = {None: document_text(made_in)} | {each.block_id: each.text for each in made_in}
    names: list[str | None] = [None, *(each.block_id for each in made_in)]
    named = data.draw(st.sampled_from(names))
    if not texts[named]:
        return
    start = data.draw(st.integers(0, len(texts[named]) - 1))
    end = data.draw(st.integers(start + 1, len(texts[named])))
    meant = texts[named][start:end]

    place = resolve(anchor(characters=Characters(start, end, named)), made_in, version)

    now = {None: document_text(version)} | {each.block_id: each.text for each in version}
    if place.resolution is LOST:
        searched = [now[None]] if named is None else [each.text for each in version]
        assert not any(meant in text for text in searched)
    else:
        assert place.characters is not None
        found = place.characters
        assert now[found.block_id][found.start : found.end] == meant
        assert found.end <= len(now[found.block_id])


@given(_DOCUMENT)
def test_in_the_version_it_was_made_in_everything_is_resolved(made_in: list[Block]) -> None:
    for each in made_in:
        assert resolve(anchor(each.block_id), made_in, made_in).resolution is RESOLVED
        if each.text:
            whole = Characters(0, len(each.text), each.block_id)
            assert resolve(anchor(characters=whole), made_in, made_in) == Place(RESOLVED, each.block_id, whole)


def test_the_newest_picture_that_is_left_takes_the_place_of_one_that_went() -> None:
    at = attach(attach(attach(anchor("b"), "one", 1, 10), "two", 2, 20), "three", 2, 30)
    assert at.active_asset_id == "three"
    without = detach(at, "three", 40)
    assert (without.active_asset_id, [link.detached_at for link in without.links]) == ("two", [None, None, 40])
    assert detach(detach(without, "one", 50), "two", 60).active_asset_id is None
    again = attach(without, "one", 3, 70)
    assert (again.active_asset_id, len(again.links)) == ("one", 3)
    assert detach(at, "unknown", 80) is at
