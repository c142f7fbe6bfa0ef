"""``anchor.annotate``: looked up, drawn outside of any transaction, then kept like any other change."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from contracts.errors import ErrorCode, JsonObject, JsonValue, Problem, problem
from contracts.gate.canonical import payload_hash
from contracts.payloads.commands.anchors import AnchorAnnotate, AnnotationOp, ArrowOp, BlurOp, BoxOp, TextOp
from contracts.values.states import AssetState
from domain.assets import assets as rules
from domain.assets.assets import Asset, AssetDecision, Content, Origin
from domain.work.work import By
from handlers.assets.asset_aggregates import AssetAggregates
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.documents.anchor_commands import NOT_READY
from handlers.documents.anchored_assets import AnchoredAssets
from handlers.effects import Context
from storage.assets.assets import HolderKind, Pin
from storage.documents.annotations import Annotation
from storage.unit_of_work import UnitOfWork

_CREATED = 201
_DRAWING_S = 120.0


def ops_hash(ops: Sequence[AnnotationOp]) -> str:
    """By what the same drawing is known again."""
    return payload_hash(written_ops(ops))


def written_ops(ops: Sequence[AnnotationOp]) -> list[JsonValue]:
    return [_written(op) for op in ops]


def _written(op: AnnotationOp) -> JsonObject:
    told: JsonObject = {name: getattr(op, name) for name in _FIELDS[type(op)]}
    return {"type": op.type, **told} if isinstance(op, BlurOp) else {"type": op.type, **told, "color": op.color.lower()}


_FIELDS: Final[Mapping[type, Sequence[str]]] = MappingProxyType(
    {
        ArrowOp: ("x1", "y1", "x2", "y2"),
        TextOp: ("x", "y", "text", "size"),
        BoxOp: ("x", "y", "width", "height"),
        BlurOp: ("x", "y", "width", "height", "radius"),
    }
)


def drawable(command: Command, uow: UnitOfWork) -> Asset | Annotation | Problem:
    """The picture to draw on; the annotation where there is one already; or why there is nothing to draw on."""
    payload, owner = payload_of(command, AnchorAnnotate), command.principal.owner
    anchor = uow.anchors.get(payload.anchor_id, owner=owner)
    asset = uow.assets.get(payload.asset_id, owner=owner)
    if anchor is None or asset is None or not any(link.asset_id == asset.asset_id for link in anchor.links):
        return NOT_FOUND
    known = uow.annotations.find(anchor.anchor_id, asset.asset_id, ops_hash(payload.ops))
    if known is not None:
        return known
    if asset.state is not AssetState.READY or asset.object is None:
        return NOT_READY
    return asset if asset.media_type.startswith("image/") else NO_PICTURE


def announce_drawing(source: Asset, sha256: str, size: int, uow: UnitOfWork, context: Context) -> Asset:
    """A row before there are bytes: should the daemon die now, the sweep finds them by it."""
    by = By(source.owner, context.now)
    asset_id = context.new_id()
    asset = Asset(
        asset_id=asset_id,
        owner=source.owner,
        job_id=source.job_id,
        state=AssetState.PENDING,
        origin=Origin.ANNOTATION,
        filename=f"{source.filename.rpartition('.')[0] or source.filename}-annotated.png",
        media_type="image/png",
        size=size,
        sha256=sha256,
        object=f"annotations/{asset_id}",
        created_at=context.now,
        updated_at=context.now,
        expires_at=by.in_seconds(_DRAWING_S),
    )
    uow.assets.upsert([asset])
    return asset


def drop_drawing(asset: Asset, uow: UnitOfWork, context: Context) -> None:
    """Nothing came of it."""
    ruling = rules.delete(asset, By(asset.owner, context.now))
    if isinstance(ruling, AssetDecision):
        uow.assets.upsert([replace(ruling.asset, object=None)])


def _want(command: Command, batch: CommandBatch) -> None:
    payload, owner = payload_of(command, AnchorAnnotate), command.principal.owner
    batch.aggregates(AnchoredAssets).want(payload.anchor_id, owner)
    batch.aggregates(AssetAggregates).want(payload.asset_id, owner)


def keeping(drawing: Asset, size: tuple[int, int]) -> ChangeHandler:
    """The command, given the drawing whose bytes are in the store: it belongs to the anchor and is the one to show."""

    def want(command: Command, batch: CommandBatch) -> None:
        _want(command, batch)
        batch.aggregates(AssetAggregates).want(drawing.asset_id, drawing.owner)

    def keep(command: Command, batch: CommandBatch) -> Reply:
        payload, owner, context = payload_of(command, AnchorAnnotate), command.principal.owner, batch.context
        anchors, assets = batch.aggregates(AnchoredAssets), batch.aggregates(AssetAggregates)
        anchor, announced = anchors.find(payload.anchor_id, owner), assets.find(drawing.asset_id, owner)
        if anchor is None or announced is None:
            return refuse(NOT_FOUND)
        wanted = ops_hash(payload.ops)
        if (known := batch.uow.annotations.find(payload.anchor_id, payload.asset_id, wanted)) is not None:
            return ok(annotation_view(known))
        found = Content(drawing.size, drawing.sha256, drawing.media_type, *size)
        ruling = rules.confirm(announced, found, By(owner, context.now))
        if isinstance(ruling, Problem):
            return refuse(ruling)
        assets.take(ruling)
        anchors.attach(anchor, drawing.asset_id)
        annotation = Annotation(
            annotation_id=context.new_id(),
            anchor_id=payload.anchor_id,
            source_asset_id=payload.asset_id,
            ops_hash=wanted,
            ops=written_ops(payload.ops),
            asset_id=drawing.asset_id,
            sha256=drawing.sha256,
            owner=owner,
            created_at=context.now,
        )
        batch.uow.annotations.add([annotation])
        pinned = (payload.asset_id, drawing.asset_id)
        batch.uow.assets.pin([Pin(each, HolderKind.ANNOTATION, annotation.annotation_id) for each in pinned])
        return Reply(_CREATED, annotation_view(annotation))

    return ChangeHandler(want, keep)


def known(annotation: Annotation) -> ChangeHandler:
    """The command, where the same was drawn before: it is answered with that, whatever its message id."""
    return ChangeHandler(_want, lambda _command, _batch: ok(annotation_view(annotation)))


def annotation_view(annotation: Annotation) -> JsonObject:
    return {
        "annotation_id": annotation.annotation_id,
        "ops_hash": annotation.ops_hash,
        "source_asset_id": annotation.source_asset_id,
        "asset_id": annotation.asset_id,
        "sha256": annotation.sha256,
    }


NO_PICTURE = problem(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "only pictures can be drawn on")
