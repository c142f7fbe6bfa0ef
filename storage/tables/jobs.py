"""Projects and jobs, what was made of them, who changed them, and the tasks beside them."""

from typing import Final

from sqlalchemy import Index, Table
from sqlalchemy import text as sql

from storage.tables.base import integer, metadata, partial_index, real, text

_HAS_FAILED: Final = sql("status = 'FAILED'")
_STARTS_TRACE: Final = sql("starts_trace = 1")
_IS_RETRY: Final = sql("retry_of IS NOT NULL")
_IS_REPORTED: Final = sql("reported IS NOT NULL")
_IS_KEYED: Final = sql("request_key IS NOT NULL")

projects: Final = Table(
    "projects",
    metadata,
    text("project_id", primary_key=True),
    text("owner"),
    text("name"),
    integer("created_at"),
    Index("ix_projects_owner", "owner", "project_id"),
    sqlite_strict=True,
)

jobs: Final = Table(
    "jobs",
    metadata,
    text("job_id", primary_key=True),
    text("project_id"),
    text("owner"),
    text("status"),
    integer("version"),
    text("title"),
    text("objective", nullable=True),
    text("script_id", nullable=True),
    text("video_uri", nullable=True),
    text("video_url", nullable=True),
    real("progress"),
    integer("estimated_cost_usd_micros", nullable=True),
    integer("actual_cost_usd_micros"),
    text("retry_of", nullable=True),
    integer("attempt"),
    text("instruction_id", nullable=True),
    # The newest version; 0 where there is none.
    integer("instruction_version"),
    text("approved_by", nullable=True),
    integer("approved_at", nullable=True),
    integer("approved_version", nullable=True),
    # The work in hand; its deadline stands in its own row.
    text("work_id", nullable=True),
    integer("dispatch_attempt"),
    integer("last_sequence"),
    integer("created_at"),
    integer("updated_at"),
    # Last: these may be long.
    text("approval_note", nullable=True),
    text("error", nullable=True),
    text("checkpoint", nullable=True),
    text("prompt", nullable=True),
    Index("ix_jobs_project_id", "project_id", "job_id"),
    Index("ix_jobs_project_id_status", "project_id", "status", "job_id"),
    partial_index("ix_jobs_failed", "job_id", where=_HAS_FAILED),
    # A failed job is retried by one new job, whoever asks at the same time.
    partial_index("uq_jobs_retry_of", "retry_of", unique=True, where=_IS_RETRY),
    sqlite_strict=True,
)

job_events: Final = Table(
    "job_events",
    metadata,
    text("job_id", primary_key=True),
    # The job's version after it.
    integer("version", primary_key=True),
    text("actor"),
    text("what"),
    integer("at"),
    text("from_state"),
    text("to_state"),
    text("details"),
    text("trace_id"),
    # 1 where the job had no event of that trace before: a trace finds its jobs by these, so that it is in the index
    # once for each job and not once for each step.
    integer("starts_trace", default="1"),
    partial_index("ix_job_events_trace_id", "trace_id", where=_STARTS_TRACE),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

transcript_segments: Final = Table(
    "transcript_segments",
    metadata,
    text("job_id", primary_key=True),
    integer("start_ms", primary_key=True),
    integer("end_ms", primary_key=True),
    # Tells segments of the same span apart.
    integer("ordinal", primary_key=True),
    text("text"),
    sqlite_strict=True,
)

storyboard_scenes: Final = Table(
    "storyboard_scenes",
    metadata,
    text("job_id", primary_key=True),
    integer("scene", primary_key=True),
    real("duration_s"),
    text("image_url", nullable=True),
    text("text"),
    sqlite_strict=True,
)

instructions: Final = Table(
    "instructions",
    metadata,
    text("instruction_id", primary_key=True),
    text("job_id"),
    text("owner"),
    integer("latest_version"),
    integer("created_at"),
    Index("uq_instructions_job_id", "job_id", unique=True),
    sqlite_strict=True,
)

instruction_versions: Final = Table(
    "instruction_versions",
    metadata,
    text("instruction_id", primary_key=True),
    integer("version", primary_key=True),
    text("validation_status"),
    text("created_by"),
    integer("created_at"),
    text("issues"),
    text("provenance", nullable=True),
    text("blocks"),
    sqlite_strict=True,
)

tasks: Final = Table(
    "tasks",
    metadata,
    text("task_id", primary_key=True),
    text("type"),
    text("owner"),
    # What the task is about: a job or an instruction.
    text("subject_id"),
    text("status"),
    integer("version"),
    integer("attempt"),
    integer("last_sequence"),
    text("work_id", nullable=True),
    # By what the same request is known again.
    text("request_key", nullable=True),
    text("request"),
    text("result", nullable=True),
    text("error", nullable=True),
    text("provenance", nullable=True),
    text("trace_id"),
    integer("created_at"),
    integer("updated_at"),
    # What a worker reported and is still to be proven.
    text("reported", nullable=True),
    partial_index("ix_tasks_reported", "task_id", where=_IS_REPORTED),
    partial_index("uq_tasks_request_key", *("type", "subject_id", "request_key"), unique=True, where=_IS_KEYED),
    Index("ix_tasks_status", "status", "updated_at"),
    Index("ix_tasks_trace_id", "trace_id"),
    sqlite_strict=True,
)
