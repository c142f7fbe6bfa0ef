"""What an owner asks of projects, jobs and tasks, and what listeners are told of a job."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

from pydantic import Field, StringConstraints

from contracts.errors import JsonObject
from contracts.payloads.base import BrokenRule, Payload, RuledPayload
from contracts.payloads.callbacks import Ordinal, Uri
from contracts.values.states import JobState
from contracts.values.types import Identifier, Money, Name, Text, Timestamp

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50

Title: TypeAlias = Annotated[
    str,
    StringConstraints(
        strict=True, min_length=1, max_length=500, pattern=r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"
    ),
]
"""1 to 500 characters in one line."""

Cursor: TypeAlias = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=1_024, pattern=r"^[A-Za-z0-9_-]+={0,2}$")
]
"""Where the page before ended; only its maker reads it."""

Limit: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MAX_LIMIT)]


class Page(Payload):
    """A part of a list."""

    cursor: Cursor | None = None
    limit: Limit = DEFAULT_LIMIT


class ProjectCreate(Payload):
    """project.create 1.0"""

    name: Title


class ProjectGet(Payload):
    """project.get 1.0"""

    project_id: Identifier


class ProjectList(Page):
    """project.list 1.0"""


class JobCreate(RuledPayload):
    """job.create 1.0: from an upload that is still to come, or from a script or a prompt."""

    project_id: Identifier
    title: Title
    objective: Name | None = None
    estimated_cost_usd_micros: Money | None = Field(default=None, alias="estimated_cost_usd")
    script_id: Identifier | None = None
    prompt: Text | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        """A job begins with one thing: not with a script and a prompt; and a prompt says something."""
        prompt = raw.get("prompt")
        if prompt is not None and raw.get("script_id") is not None:
            return (BrokenRule(("prompt",), "script_or_prompt", "A job should have a script or a prompt, not both"),)
        if prompt == "":
            return (BrokenRule(("prompt",), "string_too_short", "String should have at least 1 character"),)
        return ()


class JobGet(Payload):
    """job.get 1.0"""

    job_id: Identifier


class JobList(Page):
    """job.list 1.0"""

    project_id: Identifier
    status: JobState | None = None


class JobConfirmUpload(Payload):
    """job.confirm-upload 1.0"""

    job_id: Identifier
    video_uri: Uri


class JobRun(JobGet):
    """job.run 1.0"""


class JobApprove(JobGet):
    """job.approve 1.0: ``version`` is the version of the instruction that was read."""

    version: Ordinal | None = None
    note: Text | None = None


class JobRender(JobGet):
    """job.render 1.0"""


class JobCancel(JobGet):
    """job.cancel 1.0"""


class JobRetry(JobGet):
    """job.retry 1.0"""


class JobTranscript(Page):
    """job.transcript 1.0"""

    job_id: Identifier


class JobStoryboard(JobGet):
    """job.storyboard 1.0"""


class JobHistory(Page):
    """job.history 1.0"""

    job_id: Identifier


class TaskGet(Payload):
    """task.get 1.0"""

    task_id: Identifier


class JobEventPayload(Payload):
    """What all events of a job tell. ``version`` orders them across daemons."""

    job_id: Identifier
    version: Ordinal
    who: str
    what: str
    when: Timestamp
    to_state: JobState = Field(alias="to")


class JobCreated(JobEventPayload):
    """job.created 1.0"""


class JobTransitioned(JobEventPayload):
    """job.transitioned 1.0"""

    from_state: JobState = Field(alias="from")


class JobApproved(Payload):
    """job.approved 1.0: which version of the instruction was approved, by whom. ``version`` is the job's after it."""

    job_id: Identifier
    version: Ordinal
    instruction_version: Ordinal
    by: str
    note: Text | None = None


class JobCancelled(JobTransitioned):
    """job.cancelled 1.0: to the worker, which may stop ``work_id`` on ``attempt``."""

    work_id: Identifier | None = None
    attempt: Ordinal | None = None
