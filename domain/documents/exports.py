"""The life of an export: asked for, worked on by the daemon itself, there or failed. The same request is one export."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, JsonObject, Problem, problem
from contracts.gate.canonical import payload_hash
from contracts.values.states import ExportState, JobState
from domain.work.work import By, Failure


class ExportSignal(StrEnum):
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    ASKED_AGAIN = "asked_again"


# One that runs is started again: by whoever finds it left behind.
TRANSITIONS: Final[Mapping[tuple[ExportState, ExportSignal], ExportState]] = MappingProxyType(
    {
        (ExportState.REQUESTED, ExportSignal.STARTED): ExportState.RUNNING,
        (ExportState.RUNNING, ExportSignal.STARTED): ExportState.RUNNING,
        (ExportState.RUNNING, ExportSignal.SUCCEEDED): ExportState.SUCCEEDED,
        (ExportState.RUNNING, ExportSignal.FAILED): ExportState.FAILED,
        (ExportState.RUNNING, ExportSignal.INTERRUPTED): ExportState.REQUESTED,
        (ExportState.FAILED, ExportSignal.ASKED_AGAIN): ExportState.REQUESTED,
    }
)


class ExportFormat(StrEnum):
    MD = "md"
    HTML = "html"
    ZIP = "zip"


MEDIA_TYPE: Final[Mapping[ExportFormat, str]] = MappingProxyType(
    {
        ExportFormat.MD: "text/markdown; charset=utf-8",
        ExportFormat.HTML: "text/html; charset=utf-8",
        ExportFormat.ZIP: "application/zip",
    }
)


class Export(Struct, frozen=True):
    """An export as it stands. ``pinned`` is all that it is made of; ``provenance`` is frozen once it has succeeded.

    ``attempt`` counts how often it was started, ``object`` is where its bytes lie.
    """

    export_id: str
    job_id: str
    owner: str
    format: ExportFormat
    options: JsonObject
    identity: str
    status: ExportState
    version: int
    pinned: JsonObject
    trace_id: str
    created_at: int
    updated_at: int
    attempt: int = 0
    provenance: JsonObject | None = None
    object: str | None = None
    size: int | None = None
    sha256: str | None = None
    error: Failure | None = None


class ExportDecision(Struct, frozen=True):
    """An export after a decision; ``changed`` is false where there is nothing to store."""

    export: Export
    status: int = 200
    changed: bool = True


ExportRuling: TypeAlias = ExportDecision | Problem

EXPORTABLE: Final = frozenset({JobState.READY, JobState.DONE})
_ACCEPTED: Final = 202


def identity(job_id: str, export_format: ExportFormat, options: JsonObject, pinned: JsonObject) -> str:
    """By what an export is known again: a hash of all that goes into its bytes."""
    return payload_hash({"job_id": job_id, "format": export_format, "options": options, "pinned": pinned})


def request(new: Export) -> ExportDecision:
    """An export that nobody asked for before."""
    return ExportDecision(new, _ACCEPTED)


def request_again(export: Export, by: By) -> ExportDecision:
    """The same is asked for again: only what failed runs again."""
    target = TRANSITIONS.get((export.status, ExportSignal.ASKED_AGAIN))
    if target is None:
        return ExportDecision(export, changed=False)
    return ExportDecision(_touched(replace(export, status=target, attempt=0, error=None), by), _ACCEPTED)


def start(export: Export, *, max_attempts: int, by: By) -> ExportDecision:
    """Somebody works on it, or it is given up: what was started too often takes whoever works on it down."""
    target = TRANSITIONS.get((export.status, ExportSignal.STARTED))
    if target is None:
        return ExportDecision(export, changed=False)
    if export.attempt > max_attempts:
        return fail(export, GAVE_UP, by)
    return ExportDecision(_touched(replace(export, status=target, attempt=export.attempt + 1), by))


def interrupt(export: Export, by: By) -> ExportDecision:
    """Something that it stands on is away: it waits again, and the start does not count."""
    target = TRANSITIONS.get((export.status, ExportSignal.INTERRUPTED))
    if target is None:
        return ExportDecision(export, changed=False)
    return ExportDecision(_touched(replace(export, status=target, attempt=max(0, export.attempt - 1)), by))


class Written(Struct, frozen=True):
    """The bytes of an export as they lie in the store."""

    object: str
    size: int
    sha256: str


def succeed(export: Export, written: Written, provenance: JsonObject, by: By) -> ExportDecision:
    target = TRANSITIONS.get((export.status, ExportSignal.SUCCEEDED))
    if target is None:
        return ExportDecision(export, changed=False)
    done = replace(
        export,
        status=target,
        provenance=provenance,
        object=written.object,
        size=written.size,
        sha256=written.sha256,
        error=None,
    )
    return ExportDecision(_touched(done, by))


def fail(export: Export, why: Failure, by: By) -> ExportDecision:
    target = TRANSITIONS.get((export.status, ExportSignal.FAILED))
    if target is None:
        return ExportDecision(export, changed=False)
    return ExportDecision(_touched(replace(export, status=target, error=why), by))


def _touched(export: Export, by: By) -> Export:
    return replace(export, version=export.version + 1, updated_at=by.at)


NOT_EXPORTABLE: Final = problem(ErrorCode.INVALID_STATE, "only a job that is READY or DONE can be exported")
NO_INSTRUCTION: Final = problem(ErrorCode.INVALID_STATE, "there is no valid instruction to export")
GAVE_UP: Final = Failure("GAVE_UP", "the export was started too often without an end", retryable=True)
UNREADABLE: Final = Failure("ASSET_UNREADABLE", "the bytes of an asset cannot be read any more", retryable=False)
BROKEN: Final = Failure("INTERNAL_ERROR", "the export could not be made", retryable=True)
