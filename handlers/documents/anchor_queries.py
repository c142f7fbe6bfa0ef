"""``anchor.get`` and ``anchor.list``."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.errors import JsonObject
from contracts.payloads.commands.anchors import AnchorGet, AnchorList
from domain.documents.anchors import Anchor, Place
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor
from handlers.documents.anchor_views import Resolver, anchor_view
from handlers.effects import Context
from storage.documents.instructions import VersionKey
from storage.unit_of_work import UnitOfWork

_AT_ONCE = 500


def get_anchor(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``anchor.get``"""
    wanted, owner = payload_of(command, AnchorGet), command.principal.owner
    anchor = uow.anchors.get(wanted.anchor_id, owner=owner)
    if anchor is None:
        return refuse(NOT_FOUND)
    head = uow.instructions.heads([(anchor.instruction_id, owner)])[anchor.instruction_id]
    version = wanted.version or head.latest_version
    keys = {VersionKey(anchor.instruction_id, each) for each in (anchor.created_version, version)}
    versions = uow.instructions.versions(sorted(keys))
    if len(versions) < len(keys):
        return refuse(NOT_FOUND)
    return ok(Resolver(versions).view(anchor, version, deleted_assets=wanted.include_deleted_assets))


@dataclass(frozen=True, slots=True)
class _Found:
    anchor: Anchor
    place: Place


def list_anchors(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``anchor.list``: newest first, each where it is in the version."""
    wanted, owner = payload_of(command, AnchorList), command.principal.owner
    mark = read_cursor("anchors", wanted.cursor, str)
    head = uow.instructions.heads([(wanted.instruction_id, owner)]).get(wanted.instruction_id)
    if head is None:
        return refuse(NOT_FOUND)
    version = wanted.version or head.latest_version
    if not uow.instructions.versions([VersionKey(wanted.instruction_id, version)]):
        return refuse(NOT_FOUND)
    rows: list[_Found] = []
    for found in _placed(wanted.instruction_id, version, None if mark is None else str(mark[0]), uow):
        if wanted.resolution is not None and found.place.resolution is not wanted.resolution:
            continue
        if wanted.block_id is not None and found.place.block_id != wanted.block_id:
            continue
        rows.append(found)
        if len(rows) > wanted.limit:
            break

    def view(found: _Found) -> JsonObject:
        return anchor_view(found.anchor, found.place, version, deleted_assets=wanted.include_deleted_assets)

    def place(found: _Found) -> str:
        return cursor("anchors", found.anchor.anchor_id)

    return ok(page(rows, wanted.limit, view, place, context))


def _placed(instruction_id: str, version: int, before: str | None, uow: UnitOfWork) -> Iterator[_Found]:
    """Anchors in portions; each version in which some were made is read once a portion."""
    while True:
        anchors = uow.anchors.page(instruction_id, before=before, limit=_AT_ONCE)
        made_in = {VersionKey(instruction_id, anchor.created_version) for anchor in anchors}
        versions = uow.instructions.versions(sorted(made_in | {VersionKey(instruction_id, version)}))
        resolver = Resolver(versions)
        for anchor in anchors:
            yield _Found(anchor, resolver.place(anchor, version))
        if len(anchors) < _AT_ONCE:
            return
        before = anchors[-1].anchor_id
