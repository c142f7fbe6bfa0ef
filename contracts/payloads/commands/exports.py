"""What an owner asks of exports, and what listeners are told of them."""

from enum import StrEnum

from pydantic import Field

from contracts.errors import JsonObject
from contracts.payloads.base import Payload
from contracts.payloads.callbacks import Ordinal
from contracts.payloads.commands.jobs import Title
from contracts.values.states import ExportState
from contracts.values.types import Count, Flag, Identifier, Timestamp


class Format(StrEnum):
    MD = "md"
    HTML = "html"
    ZIP = "zip"


class ExportOptions(Payload):
    """How an export is made."""

    title: Title | None = None
    include_assets: Flag = True


class ExportCreate(Payload):
    """export.create 1.0: the newest version of the instruction as a file, with the pictures of its anchors."""

    job_id: Identifier
    format: Format
    options: ExportOptions = Field(default_factory=ExportOptions)


class ExportGet(Payload):
    """export.get 1.0"""

    export_id: Identifier


class ExportEvent(Payload):
    """export.requested, .running, .succeeded, .failed 1.0: the view without its URL. ``version`` orders them."""

    export_id: Identifier
    job_id: Identifier
    format: Format
    options: JsonObject
    status: ExportState
    attempt: Count
    version: Ordinal
    created_at: Timestamp
    updated_at: Timestamp
    size: Count | None = None
    sha256: str | None = None
    provenance: JsonObject | None = None
    error: JsonObject | None = None
