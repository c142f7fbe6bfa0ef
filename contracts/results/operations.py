"""What operators' commands answer. ``run_id`` is null where a look is no row of the audit."""

from typing import NotRequired, TypeAlias

from typing_extensions import TypedDict

from contracts.errors import JsonObject, JsonValue
from contracts.results.jobs import Cursor, Time

RunId: TypeAlias = str | None


class Dependency(TypedDict):
    status: str
    latency_ms: float
    detail: str


class HealthReport(TypedDict):
    run_id: NotRequired[RunId]
    status: str
    dependencies: dict[str, Dependency]


class Begun(TypedDict):
    """A run that goes on; look at it with ``runs``."""

    run_id: str


class BackupAnswer(Begun):
    path: NotRequired[str]
    bytes: NotRequired[int]


class ReplayBegun(TypedDict):
    """What was begun, or with ``dry_run`` what would be."""

    run_id: RunId
    requested: int
    dry_run: NotRequired[bool]
    frozen_at: NotRequired[Time]
    items: NotRequired[list[JsonObject]]


class ReplayStatusAnswer(TypedDict):
    run_id: str
    status: str | None
    requested: int
    skipped: int
    replayed: NotRequired[int]
    still_failed: NotRequired[int]
    discarded: NotRequired[int]
    items: NotRequired[list[JsonObject]]
    next_cursor: NotRequired[Cursor]


class Run(TypedDict):
    run_id: str
    operation: str
    parameters: JsonValue
    principal: str
    trace_id: str | None
    status: str
    started_at: Time
    ended_at: Time | None
    result: JsonValue
    error: JsonValue
    daemon: str | None


class RunsAnswer(TypedDict):
    items: list[Run]
    next_cursor: Cursor
    run_id: NotRequired[RunId]


class DeadLettersAnswer(TypedDict):
    """By action: ``items`` of list, groups and histogram, one letter of show, the verdict of check, a run."""

    run_id: NotRequired[RunId]
    items: NotRequired[list[JsonObject]]
    next_cursor: NotRequired[Cursor]
    dead_letter_id: NotRequired[str]
    state: NotRequired[str]
    outcome: NotRequired[str]
    error: NotRequired[JsonObject]
    requested: NotRequired[int]
    dry_run: NotRequired[bool]
    frozen_at: NotRequired[Time]


class Healed(TypedDict):
    """A round of healing."""

    items_found: int
    items_republished: int
    errors: int


class StoryItem(TypedDict):
    at: Time
    what: str


class Story(TypedDict):
    items: list[StoryItem]
    next_cursor: Cursor


class FoundItem(TypedDict):
    what: str
    id: str
    at: Time
    label: str
    kind: NotRequired[str | None]


class Found(TypedDict):
    items: list[FoundItem]


class DaemonKnown(TypedDict):
    id: str
    started_at: Time


class Limits(TypedDict):
    max_bytes: int
    max_payload: int
    page: int


class AboutAnswer(TypedDict):
    principal: str
    scopes: list[str]
    auth: str
    now: Time
    version: str
    prefix: str
    daemon: DaemonKnown
    daemons: list[JsonValue]
    limits: Limits
    contracts_digest: str


class ConsoleLinkAnswer(TypedDict):
    run_id: NotRequired[RunId]
    url: str
    expires_at: NotRequired[Time]
