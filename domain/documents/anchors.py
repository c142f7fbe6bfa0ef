"""Places in an instruction, found again in its later versions, and the pictures that belong there.

An anchor names a block, or characters. It is looked for in a version by comparing that version with the one the anchor
was made in, and with no version between: what was lost in one may be there again in the next. A place that is found
says word for word what the anchor meant; nothing like it is ever taken for it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from contracts.values.states import Resolution
from domain.documents.instructions import BlockFacts

BREAK: Final = "\n"
"""What stands between two blocks where the document is taken as one text."""


class Characters(NamedTuple):
    """Characters from ``start`` on, before ``end``: of a block, or of the whole document where none is named."""

    start: int
    end: int
    block_id: str | None = None


class Place(NamedTuple):
    """Where an anchor is in a version. One that is lost has the address that it was made with."""

    resolution: Resolution
    block_id: str | None
    characters: Characters | None


class AssetLink(Struct, frozen=True):
    """A picture of an anchor; one that was taken away stays as history."""

    asset_id: str
    linked_version: int
    attached_at: int
    detached_at: int | None = None


class Anchor(Struct, frozen=True):
    """A place in an instruction. Exactly one of ``block_id`` and ``characters`` is there.

    ``awaits_task_id`` is the extraction whose picture will be attached once it is there.
    """

    anchor_id: str
    instruction_id: str
    owner: str
    created_version: int
    created_at: int
    updated_at: int
    block_id: str | None = None
    characters: Characters | None = None
    active_asset_id: str | None = None
    awaits_task_id: str | None = None
    links: tuple[AssetLink, ...] = ()

    def has(self, asset_id: str) -> bool:
        """Whether the picture belongs to the anchor now."""
        return any(link.asset_id == asset_id and link.detached_at is None for link in self.links)


# -- finding a place again


class IndexedVersion:
    """The blocks of a version, with what looking for many anchors in it needs more than once."""

    __slots__ = ("_text", "at", "blocks")

    def __init__(self, blocks: Sequence[BlockFacts]) -> None:
        self.blocks: Final = blocks
        self.at: Final = {block.block_id: at for at, block in enumerate(blocks)}
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The version as one text."""
        if self._text is None:
            self._text = document_text(self.blocks)
        return self._text


def resolve(anchor: Anchor, made_in: IndexedVersion, version: IndexedVersion) -> Place:
    """Where the anchor is in *version*; *made_in* is the version in which it was made."""
    if anchor.characters is None:
        return _find_block(anchor, made_in, version)
    if anchor.characters.block_id is None:
        return _find_in_document(anchor.characters, made_in, version)
    return _find_in_blocks(anchor.characters, made_in, version)


def _find_block(anchor: Anchor, made_in: IndexedVersion, version: IndexedVersion) -> Place:
    before, after = made_in.at.get(anchor.block_id or ""), version.at.get(anchor.block_id or "")
    if after is None:
        return Place(Resolution.LOST, anchor.block_id, None)
    return Place(Resolution.RESOLVED if after == before else Resolution.MOVED, anchor.block_id, None)


def _find_in_document(wanted: Characters, made_in: IndexedVersion, version: IndexedVersion) -> Place:
    words = made_in.text[wanted.start : wanted.end]
    start = nearest(version.text, words, wanted.start)
    if start is None:
        return Place(Resolution.LOST, None, wanted)
    found = Characters(start, start + len(words))
    return Place(Resolution.RESOLVED if start == wanted.start else Resolution.MOVED, None, found)


def _find_in_blocks(wanted: Characters, made_in: IndexedVersion, version: IndexedVersion) -> Place:
    """In its own block first; else in the block nearest to where that one was: it may have been split."""
    home = made_in.at.get(wanted.block_id or "")
    words = "" if home is None else made_in.blocks[home].text[wanted.start : wanted.end]
    own = version.at.get(wanted.block_id or "")
    if own is not None and (start := nearest(version.blocks[own].text, words, wanted.start)) is not None:
        same = start == wanted.start and own == home
        found = Characters(start, start + len(words), wanted.block_id)
        return Place(Resolution.RESOLVED if same else Resolution.MOVED, wanted.block_id, found)
    middle = own if own is not None else (home or 0)
    # Most of what is gone is nowhere: one look at the whole text says so.
    if words in version.text:
        for _, at in sorted((abs(at - middle), at) for at in range(len(version.blocks))):
            if (start := nearest(version.blocks[at].text, words, 0)) is not None:
                block_id = version.blocks[at].block_id
                return Place(Resolution.MOVED, block_id, Characters(start, start + len(words), block_id))
    return Place(Resolution.LOST, wanted.block_id, wanted)


def nearest(text: str, words: str, to: int) -> int | None:
    """Where *words* begin in *text*, as near as may be to *to*; the earlier of two equally near. None for no words."""
    if not words:
        return None
    if text.startswith(words, to):
        return to
    before = text.rfind(words, 0, min(len(text), to + len(words)))
    after = text.find(words, to)
    if before < 0 or after < 0:
        found = max(before, after)
        return None if found < 0 else found
    return before if to - before <= after - to else after


def document_text(blocks: Sequence[BlockFacts]) -> str:
    """The document as one text."""
    return BREAK.join(block.text for block in blocks)


# -- pictures


def attach(anchor: Anchor, asset_id: str, version: int, at: int) -> Anchor:
    """The picture belongs to the anchor and is the one to show; those before it stay behind it."""
    if anchor.has(asset_id):
        if anchor.active_asset_id == asset_id:
            return anchor
        return replace(anchor, active_asset_id=asset_id, updated_at=at)
    links = (*anchor.links, AssetLink(asset_id, version, at))
    return replace(anchor, links=links, active_asset_id=asset_id, updated_at=at)


def detach(anchor: Anchor, asset_id: str, at: int) -> Anchor:
    """The picture is history; where it was the one to show, the newest that is left takes its place."""
    if not anchor.has(asset_id):
        return anchor
    links = tuple(
        replace(link, detached_at=at) if link.asset_id == asset_id and link.detached_at is None else link
        for link in anchor.links
    )
    left = [link.asset_id for link in links if link.detached_at is None]
    active = anchor.active_asset_id
    if active == asset_id:
        active = left[-1] if left else None
    return replace(anchor, links=links, active_asset_id=active, updated_at=at)
