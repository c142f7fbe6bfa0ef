"""Projects and jobs, what was made of them, who changed them, and the tasks beside them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")

_TABLES = (
    "projects",
    "jobs",
    "job_events",
    "transcript_segments",
    "storyboard_scenes",
    "instructions",
    "instruction_versions",
    "tasks",
)
"""In the order in which they are made."""


def upgrade() -> None:
    _create_projects()
    _create_jobs()
    _create_job_events()
    _create_transcript_segments()
    _create_storyboard_scenes()
    _create_instructions()
    _create_instruction_versions()
    _create_tasks()


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("project_id", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_projects")),
        sqlite_strict=True,
    )
    op.create_index("ix_projects_owner", "projects", ["owner", "project_id"])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", _TEXT, nullable=False),
        sa.Column("project_id", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("title", _TEXT, nullable=False),
        sa.Column("objective", _TEXT, nullable=True),
        sa.Column("script_id", _TEXT, nullable=True),
        sa.Column("video_uri", _TEXT, nullable=True),
        sa.Column("video_url", _TEXT, nullable=True),
        sa.Column("progress", _REAL, nullable=False),
        sa.Column("estimated_cost_usd_micros", _INTEGER, nullable=True),
        sa.Column("actual_cost_usd_micros", _INTEGER, nullable=False),
        sa.Column("retry_of", _TEXT, nullable=True),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("instruction_id", _TEXT, nullable=True),
        sa.Column("instruction_version", _INTEGER, nullable=False),
        sa.Column("approved_by", _TEXT, nullable=True),
        sa.Column("approved_at", _INTEGER, nullable=True),
        sa.Column("approved_version", _INTEGER, nullable=True),
        sa.Column("work_id", _TEXT, nullable=True),
        sa.Column("dispatch_attempt", _INTEGER, nullable=False),
        sa.Column("last_sequence", _INTEGER, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.Column("approval_note", _TEXT, nullable=True),
        sa.Column("error", _TEXT, nullable=True),
        sa.Column("checkpoint", _TEXT, nullable=True),
        sa.Column("prompt", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
        sqlite_strict=True,
    )
    op.create_index("ix_jobs_project_id", "jobs", ["project_id", "job_id"])
    op.create_index("ix_jobs_project_id_status", "jobs", ["project_id", "status", "job_id"])
    op.create_index("ix_jobs_status", "jobs", ["status", "updated_at"])
    where = sa.text("retry_of IS NOT NULL")
    op.create_index("uq_jobs_retry_of", "jobs", ["retry_of"], unique=True, sqlite_where=where, postgresql_where=where)


def _create_job_events() -> None:
    op.create_table(
        "job_events",
        sa.Column("job_id", _TEXT, nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("actor", _TEXT, nullable=False),
        sa.Column("what", _TEXT, nullable=False),
        sa.Column("at", _INTEGER, nullable=False),
        sa.Column("from_state", _TEXT, nullable=False),
        sa.Column("to_state", _TEXT, nullable=False),
        sa.Column("details", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "version", name=op.f("pk_job_events")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_job_events_at", "job_events", ["at"])
    op.create_index("ix_job_events_trace_id", "job_events", ["trace_id"])


def _create_transcript_segments() -> None:
    op.create_table(
        "transcript_segments",
        sa.Column("job_id", _TEXT, nullable=False),
        sa.Column("start_ms", _INTEGER, nullable=False),
        sa.Column("end_ms", _INTEGER, nullable=False),
        sa.Column("ordinal", _INTEGER, nullable=False),
        sa.Column("text", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "start_ms", "end_ms", "ordinal", name=op.f("pk_transcript_segments")),
        sqlite_strict=True,
    )


def _create_storyboard_scenes() -> None:
    op.create_table(
        "storyboard_scenes",
        sa.Column("job_id", _TEXT, nullable=False),
        sa.Column("scene", _INTEGER, nullable=False),
        sa.Column("duration_s", _REAL, nullable=False),
        sa.Column("image_url", _TEXT, nullable=True),
        sa.Column("text", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "scene", name=op.f("pk_storyboard_scenes")),
        sqlite_strict=True,
    )


def _create_instructions() -> None:
    op.create_table(
        "instructions",
        sa.Column("instruction_id", _TEXT, nullable=False),
        sa.Column("job_id", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("latest_version", _INTEGER, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("instruction_id", name=op.f("pk_instructions")),
        sqlite_strict=True,
    )
    op.create_index("uq_instructions_job_id", "instructions", ["job_id"], unique=True)


def _create_instruction_versions() -> None:
    op.create_table(
        "instruction_versions",
        sa.Column("instruction_id", _TEXT, nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("validation_status", _TEXT, nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("issues", _TEXT, nullable=False),
        sa.Column("provenance", _TEXT, nullable=True),
        sa.Column("blocks", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("instruction_id", "version", name=op.f("pk_instruction_versions")),
        sqlite_strict=True,
    )


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("task_id", _TEXT, nullable=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("subject_id", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("last_sequence", _INTEGER, nullable=False),
        sa.Column("work_id", _TEXT, nullable=True),
        sa.Column("request_key", _TEXT, nullable=True),
        sa.Column("request", _TEXT, nullable=False),
        sa.Column("result", _TEXT, nullable=True),
        sa.Column("error", _TEXT, nullable=True),
        sa.Column("provenance", _TEXT, nullable=True),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
        sqlite_strict=True,
    )
    op.create_index("ix_tasks_status", "tasks", ["status", "updated_at"])
    where = sa.text("request_key IS NOT NULL")
    op.create_index(
        "uq_tasks_request_key",
        "tasks",
        ["type", "subject_id", "request_key"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
