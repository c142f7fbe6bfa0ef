"""What commands on projects, jobs and tasks answer."""

from typing import Annotated, Literal, NotRequired, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from contracts.errors import JsonObject
from contracts.values.states import JobState, TaskState

Time: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC."""
Usd: TypeAlias = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]{6}$")]
"""Dollars with six places."""
Cursor: TypeAlias = str | None
"""Where the next page begins; null on the last one."""


class Project(TypedDict):
    project_id: str
    name: str
    created_at: Time


class Projects(TypedDict):
    items: list[Project]
    next_cursor: Cursor


class Failed(TypedDict):
    code: str
    message: str
    retryable: bool


class Job(TypedDict):
    job_id: str
    project_id: str
    title: str
    status: JobState
    progress: float
    approved: bool
    approved_by: str | None
    approved_at: Time | None
    retry_of: str | None
    attempt: int
    dispatches: int
    instruction_id: str | None
    video_uri: str | None
    video_url: str | None
    estimated_cost_usd: Usd | None
    actual_cost_usd: Usd
    error: Failed | None
    version: int
    created_at: Time
    updated_at: Time


class JobsAnswer(TypedDict):
    items: list[Job]
    next_cursor: Cursor


class JobOfOwner(Job):
    owner: str


class JobsOfAll(TypedDict):
    items: list[JobOfOwner]
    next_cursor: Cursor
    counts: dict[str, int]


class SegmentAnswer(TypedDict):
    segment: int
    start_ms: int
    end_ms: int
    text: str


class Transcript(TypedDict):
    items: list[SegmentAnswer]
    next_cursor: Cursor


class SceneAnswer(TypedDict):
    scene: int
    text: str
    duration_s: float
    image_url: NotRequired[str]


class Storyboard(TypedDict):
    items: list[SceneAnswer]
    next_cursor: None


JobAuditEvent = TypedDict(
    "JobAuditEvent",
    {
        "version": int,
        "who": str,
        "what": str,
        "when": Time,
        "from": JobState | None,
        "to": JobState,
        "details": JsonObject,
    },
)


class JobHistoryAnswer(TypedDict):
    items: list[JobAuditEvent]
    next_cursor: Cursor


class Task(TypedDict):
    task_id: str
    type: Literal["instruction.regenerate", "screenshot.extract"]
    status: TaskState
    attempt: int
    version: int
    created_at: Time
    updated_at: Time
    result: NotRequired[JsonObject]
    error: NotRequired[Failed]
    provenance: NotRequired[JsonObject]
