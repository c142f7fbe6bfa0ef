"""What a successful ``screenshot.extract`` leaves: assets, once their bytes have been looked at.

A transaction cannot wait for bytes. So the report waits beside its task, somebody looks at what it names, and a
transaction of its own ends the task, unless it has gone on meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import JsonObject
from contracts.payloads.callbacks import TaskAsset, TaskStatus
from contracts.values.states import AssetState
from domain.assets.assets import MEDIA_TYPES, SUFFIX, Asset, Content, Origin
from domain.documents.anchors import attach
from domain.work import tasks as rules
from domain.work.work import By, Failure
from handlers.documents.tasks.task_work import asked_of, object_prefix
from handlers.effects import Context, Effects
from handlers.work.tasks import TaskWriter, Unproven
from storage.unit_of_work import UnitOfWork
from storage.work.tasks import TaskRecord


class ExtractionFinisher:
    """Keeps what was reported until it is proven."""

    def __init__(self, records: Sequence[TaskRecord], uow: UnitOfWork, context: Context) -> None:
        """Nothing is to be loaded."""

    def finish(self, record: TaskRecord, report: TaskStatus, by: By) -> Unproven | Failure:
        made = report.artifacts
        pictures = [] if made is None or made.assets is None else made.assets
        if (wrong := _wrong_report(record, pictures)) is not None:
            return wrong
        listed = [_as_json(picture) for picture in pictures]
        reported: JsonObject = {"assets": [*listed], "by": by.actor, "model": report.model}
        return Unproven(reported)

    def write(self, effects: Effects) -> None:
        """Nothing is kept beside the task."""


def _wrong_report(record: TaskRecord, pictures: Sequence[TaskAsset]) -> Failure | None:
    """A picture for each moment, each in its own place below the prefix that this attempt was given."""
    wanted = asked_of(record.request, "timestamps_ms")
    if sorted(picture.timestamp_ms for picture in pictures) != wanted:
        return PICTURES_MISSING
    prefix = object_prefix(record.task)
    places = [picture.object for picture in pictures]
    if len(set(places)) < len(places) or not all(place.startswith(prefix) for place in places):
        return ELSEWHERE
    return None


def _as_json(picture: TaskAsset) -> JsonObject:
    return {
        "object": picture.object,
        "media_type": picture.media_type,
        "width": picture.width,
        "height": picture.height,
        "timestamp_ms": picture.timestamp_ms,
        "sha256": picture.sha256,
    }


class ReportedPicture(Struct, frozen=True):
    """A picture as a worker reported it."""

    object: str
    media_type: str
    width: int
    height: int
    timestamp_ms: int
    sha256: str


def reported_pictures(record: TaskRecord) -> list[ReportedPicture]:
    """What waits to be proven beside the task."""
    reported = record.reported
    listed = reported.get("assets") if isinstance(reported, dict) else None
    assert isinstance(listed, list)  # noqa: S101 - written by the finisher above
    return [_picture(each) for each in listed if isinstance(each, dict)]


def _picture(each: JsonObject) -> ReportedPicture:
    numbers = {name: int(str(each[name])) for name in ("width", "height", "timestamp_ms")}
    return ReportedPicture(str(each["object"]), str(each["media_type"]), sha256=str(each["sha256"]), **numbers)


def end_extraction(
    looked_at: TaskRecord, found: Mapping[str, Content | None], uow: UnitOfWork, context: Context
) -> bool:
    """End the task by what was found in the store, by object; false where it has gone on meanwhile."""
    task_id = looked_at.task.task_id
    record = uow.tasks.locked([task_id]).get(task_id)
    if record is None or record.reported is None or record.reported != looked_at.reported:
        return False
    by = By(_reporter(record), context.now)
    pictures = reported_pictures(record)
    why = next((wrong for picture in pictures if (wrong := _disproof(picture, found.get(picture.object)))), None)
    after = replace(record, reported=None)
    if why is not None:
        decision = rules.failed(record.task, why, by)
    else:
        decision = rules.proven(record.task, by)
        assets = [_asset(picture, found[picture.object], record, context) for picture in pictures]
        uow.assets.upsert(assets)
        result: JsonObject = {"assets": [_result_of(asset) for asset in assets]}
        after = replace(after, result=result, provenance=_provenance(record))
        _attach_to_waiting(task_id, assets[0].asset_id, uow, context)
    writer = TaskWriter(uow, context)
    writer.take(record, replace(after, task=decision.task), decision, {})
    uow.outbox.add(writer.write(), owner=context.daemon_id, now=context.now)
    return True


def _attach_to_waiting(task_id: str, asset_id: str, uow: UnitOfWork, context: Context) -> None:
    """Anchors whose picture was to be replaced by this one show it from now on."""
    waiting = uow.anchors.awaiting(task_id)
    heads = uow.instructions.latest(sorted({anchor.instruction_id for anchor in waiting}))
    shown = [attach(anchor, asset_id, heads[anchor.instruction_id].latest_version, context.now) for anchor in waiting]
    uow.anchors.upsert([replace(anchor, awaits_task_id=None) for anchor in shown])


def _reporter(record: TaskRecord) -> str:
    reported = record.reported
    return str(reported.get("by")) if isinstance(reported, dict) else record.task.owner


def _provenance(record: TaskRecord) -> JsonObject:
    reported = record.reported
    model = reported.get("model") if isinstance(reported, dict) else None
    return {"task_id": record.task.task_id, "model": model}


def _disproof(picture: ReportedPicture, found: Content | None) -> Failure | None:
    if found is None:
        return NOT_THERE
    if found.sha256 != picture.sha256:
        return WRONG_DIGEST
    if found.media_type not in MEDIA_TYPES or found.media_type != picture.media_type:
        return WRONG_TYPE
    return None


def _asset(picture: ReportedPicture, found: Content | None, record: TaskRecord, context: Context) -> Asset:
    assert found is not None  # noqa: S101 - what is not there was told before
    return Asset(
        asset_id=context.new_id(),
        owner=record.task.owner,
        job_id=record.subject_id,
        state=AssetState.READY,
        origin=Origin.EXTRACTION,
        filename=f"{picture.timestamp_ms}.{SUFFIX[picture.media_type]}",
        media_type=picture.media_type,
        size=found.size,
        sha256=found.sha256,
        object=picture.object,
        created_at=context.now,
        updated_at=context.now,
        width=picture.width if found.width is None else found.width,
        height=picture.height if found.height is None else found.height,
        timestamp_ms=picture.timestamp_ms,
    )


def _result_of(asset: Asset) -> JsonObject:
    return {
        "asset_id": asset.asset_id,
        "timestamp_ms": asset.timestamp_ms,
        "media_type": asset.media_type,
        "width": asset.width,
        "height": asset.height,
        "sha256": asset.sha256,
    }


PICTURES_MISSING: Final = Failure(
    "PICTURES_MISSING", "the worker did not report one picture for each moment that was asked for", retryable=True
)
ELSEWHERE: Final = Failure(
    "WRONG_OBJECT", "a picture lies outside the prefix of this attempt, or two share one place", retryable=True
)
NOT_THERE: Final = Failure("OBJECT_MISSING", "a picture that was reported is not in the store", retryable=True)
WRONG_DIGEST: Final = Failure("WRONG_DIGEST", "a picture has another digest than was reported", retryable=True)
WRONG_TYPE: Final = Failure("UNSUPPORTED_MEDIA_TYPE", "a picture is not what it was reported as", retryable=True)
