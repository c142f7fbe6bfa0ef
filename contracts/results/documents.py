"""What commands on instructions, anchors and assets answer."""

from typing import Final, NotRequired, cast

from typing_extensions import TypedDict

from contracts.errors import JsonObject
from contracts.results.jobs import Cursor, Task, Time


class BlockText(TypedDict):
    block_id: str
    type: str
    text: str


class Issue(TypedDict):
    code: str
    message: str
    block_id: NotRequired[str]


class InstructionVersion(TypedDict):
    instruction_id: str
    job_id: str
    version: int
    latest_version: int
    blocks: list[BlockText]
    validation_status: str
    issues: list[Issue]
    created_by: str
    created_at: Time
    provenance: NotRequired[JsonObject]


class CharRangeAnswer(TypedDict):
    start: int
    end: int
    block_id: NotRequired[str]


class LinkedAsset(TypedDict):
    asset_id: str
    linked_version: int
    attached_at: Time
    deleted_at: NotRequired[Time]


class Anchor(TypedDict):
    anchor_id: str
    instruction_id: str
    created_version: int
    resolved_version: int
    resolution: str
    active_asset_id: str | None
    assets: list[LinkedAsset]
    block_id: NotRequired[str]
    char_range: NotRequired[CharRangeAnswer]


Replaced: Final = cast("type", Anchor | Task)
"""The anchor with its new picture, or the task that cuts the picture out."""


class Anchors(TypedDict):
    items: list[Anchor]
    next_cursor: Cursor


class Asset(TypedDict):
    asset_id: str
    job_id: str | None
    state: str
    origin: str
    filename: str | None
    media_type: str
    size: int
    sha256: str
    created_at: Time
    width: NotRequired[int]
    height: NotRequired[int]
    timestamp_ms: NotRequired[int]
    deleted_at: NotRequired[Time]
    url: NotRequired[str]
    url_expires_at: NotRequired[Time]


class Upload(TypedDict):
    upload_id: str
    asset_id: str
    bucket: str
    object: str
    upload_url: str
    expires_at: Time


class Annotation(TypedDict):
    annotation_id: str
    ops_hash: str
    source_asset_id: str
    asset_id: str
    sha256: str


class Export(TypedDict):
    export_id: str
    job_id: str
    format: str
    status: str
    created_at: Time
    download_url: NotRequired[str]
