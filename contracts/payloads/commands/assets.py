"""What an owner asks of files: uploads and assets."""

from typing import Annotated, TypeAlias

from pydantic import Field, StringConstraints

from contracts.payloads.base import Payload
from contracts.payloads.commands.jobs import Title
from contracts.values.types import MAX_COUNT, Identifier, Name

Sha256: TypeAlias = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal, lower case."""


class AssetBeginUpload(Payload):
    """asset.begin-upload 1.0: announce a file. Without a job the asset is the caller's own."""

    job_id: Identifier | None = None
    filename: Title
    media_type: Name
    size: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]
    sha256: Sha256


class AssetConfirmUpload(Payload):
    """asset.confirm-upload 1.0: the bytes are there."""

    upload_id: Identifier


class AssetGet(Payload):
    """asset.get 1.0"""

    asset_id: Identifier


class AssetDelete(AssetGet):
    """asset.delete 1.0"""
