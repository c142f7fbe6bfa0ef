"""Anchors as their owners see them: where they are in a version, and the pictures that belong there."""

from collections.abc import Mapping, Sequence

from contracts.errors import JsonObject, JsonValue
from contracts.values.times import format_micros
from domain.documents.anchors import Anchor, AssetLink, Characters, IndexedVersion, Place, resolve
from handlers.documents.instruction_views import blocks_of
from storage.documents.instructions import InstructionVersion, VersionKey


class Resolver:
    """Finds anchors again in the versions that were loaded; each version is read once."""

    def __init__(self, versions: Mapping[VersionKey, InstructionVersion]) -> None:
        self._versions = {key: IndexedVersion(blocks_of(version.blocks)) for key, version in versions.items()}

    def place(self, anchor: Anchor, version: int) -> Place:
        made_in = self._versions[VersionKey(anchor.instruction_id, anchor.created_version)]
        return resolve(anchor, made_in, self._versions[VersionKey(anchor.instruction_id, version)])

    def view(self, anchor: Anchor, version: int, *, deleted_assets: bool = False) -> JsonObject:
        return anchor_view(anchor, self.place(anchor, version), version, deleted_assets=deleted_assets)


def anchor_view(anchor: Anchor, place: Place, version: int, *, deleted_assets: bool) -> JsonObject:
    view: JsonObject = {
        "anchor_id": anchor.anchor_id,
        "instruction_id": anchor.instruction_id,
        "created_version": anchor.created_version,
        "resolved_version": version,
    }
    if place.characters is not None:
        view["char_range"] = _range(place.characters)
    elif place.block_id is not None:
        view["block_id"] = place.block_id
    return view | {
        "resolution": place.resolution,
        "active_asset_id": anchor.active_asset_id,
        "assets": _links(anchor.links, deleted_assets),
    }


def _range(characters: Characters) -> JsonObject:
    told: JsonObject = {"start": characters.start, "end": characters.end}
    return told if characters.block_id is None else {"block_id": characters.block_id, **told}


def _links(links: Sequence[AssetLink], deleted_assets: bool) -> list[JsonValue]:
    return [_link(link) for link in links if deleted_assets or link.detached_at is None]


def _link(link: AssetLink) -> JsonObject:
    told: JsonObject = {
        "asset_id": link.asset_id,
        "linked_version": link.linked_version,
        "attached_at": format_micros(link.attached_at),
    }
    return told if link.detached_at is None else {**told, "deleted_at": format_micros(link.detached_at)}
