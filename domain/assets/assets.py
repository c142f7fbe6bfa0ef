"""The life of an asset: announced, confirmed once its bytes are what was announced, deleted. Bytes never change."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem, problem
from contracts.values.states import AssetState
from domain.work.work import By


class Origin(StrEnum):
    """Where an asset came from."""

    UPLOAD = "upload"
    EXTRACTION = "extraction"
    ANNOTATION = "annotation"


class AssetSignal(StrEnum):
    CONFIRMED = "confirmed"
    DELETED = "deleted"


TRANSITIONS: Final[Mapping[tuple[AssetState, AssetSignal], AssetState]] = MappingProxyType(
    {
        (AssetState.PENDING, AssetSignal.CONFIRMED): AssetState.READY,
        (AssetState.PENDING, AssetSignal.DELETED): AssetState.DELETED,
        (AssetState.READY, AssetSignal.DELETED): AssetState.DELETED,
    }
)


class Asset(Struct, frozen=True):
    """A file. Times are microseconds since the epoch; ``object`` is where its bytes lie, None once they are gone."""

    asset_id: str
    owner: str
    job_id: str | None
    state: AssetState
    origin: Origin
    filename: str
    media_type: str
    size: int
    sha256: str
    object: str | None
    created_at: int
    updated_at: int
    upload_id: str | None = None
    width: int | None = None
    height: int | None = None
    timestamp_ms: int | None = None
    expires_at: int | None = None
    deleted_at: int | None = None


class AssetDecision(Struct, frozen=True):
    """An asset after a decision; ``changed`` is false where there is nothing to store."""

    asset: Asset
    changed: bool = True


AssetRuling: TypeAlias = AssetDecision | Problem


class Content(Struct, frozen=True):
    """What lies in the store, as it was found: its size and digest, and the type that its first bytes say."""

    size: int
    sha256: str
    media_type: str | None
    width: int | None = None
    height: int | None = None


class NewUpload(Struct, frozen=True):
    """What ``asset.begin-upload`` announces."""

    upload_id: str
    asset_id: str
    owner: str
    job_id: str | None
    filename: str
    media_type: str
    size: int
    sha256: str


MEDIA_TYPES: Final = frozenset({"image/jpeg", "image/png", "video/mp4", "video/quicktime"})
SUFFIX: Final[Mapping[str, str]] = MappingProxyType(
    {"image/jpeg": "jpg", "image/png": "png", "video/mp4": "mp4", "video/quicktime": "mov"}
)


def announce(new: NewUpload, *, max_bytes: int, ttl_s: float, by: By) -> AssetRuling:
    """An upload that is still to come; its size and type are judged before any byte is sent."""
    if new.media_type not in MEDIA_TYPES:
        return UNSUPPORTED
    if new.size > max_bytes:
        return TOO_LARGE
    return AssetDecision(
        Asset(
            asset_id=new.asset_id,
            owner=new.owner,
            job_id=new.job_id,
            state=AssetState.PENDING,
            origin=Origin.UPLOAD,
            filename=new.filename,
            media_type=new.media_type,
            size=new.size,
            sha256=new.sha256,
            object=f"uploads/{new.upload_id}",
            created_at=by.at,
            updated_at=by.at,
            upload_id=new.upload_id,
            expires_at=by.in_seconds(ttl_s),
        )
    )


def confirm(asset: Asset, found: Content | None, by: By) -> AssetRuling:
    """The bytes are there and are what was announced; the type is what they say, whatever they were called."""
    if asset.state is AssetState.READY:
        return AssetDecision(asset, changed=False)
    target = TRANSITIONS.get((asset.state, AssetSignal.CONFIRMED))
    if target is None or (asset.expires_at is not None and asset.expires_at <= by.at):
        return EXPIRED
    if found is None:
        return NOT_UPLOADED
    if found.size != asset.size or found.sha256 != asset.sha256:
        return WRONG_BYTES
    if found.media_type not in MEDIA_TYPES:
        return UNSUPPORTED
    return AssetDecision(
        replace(
            asset,
            state=target,
            media_type=found.media_type,
            width=found.width,
            height=found.height,
            expires_at=None,
            updated_at=by.at,
        )
    )


def delete(asset: Asset, by: By) -> AssetRuling:
    """Nobody may use it any more; again is met. Its bytes go when nothing holds on to them."""
    target = TRANSITIONS.get((asset.state, AssetSignal.DELETED))
    if target is None:
        return AssetDecision(asset, changed=False)
    return AssetDecision(replace(asset, state=target, deleted_at=by.at, updated_at=by.at))


UNSUPPORTED: Final = problem(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "only jpg, png, mp4 and mov are taken")
TOO_LARGE: Final = problem(ErrorCode.PAYLOAD_TOO_LARGE, "the file is larger than assets.max_bytes")
EXPIRED: Final = problem(ErrorCode.INVALID_STATE, "the upload has expired or its asset is deleted")
CONFIRMED: Final = problem(ErrorCode.INVALID_STATE, "the upload is confirmed already; bytes of an asset never change")
NOT_UPLOADED: Final = problem(ErrorCode.INVALID_STATE, "no bytes have been uploaded yet")
WRONG_BYTES: Final = problem(
    ErrorCode.UPLOAD_CONFLICT, "what was uploaded has another size or digest than was announced"
)
INFECTED: Final = problem(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "the scan refused the file")
