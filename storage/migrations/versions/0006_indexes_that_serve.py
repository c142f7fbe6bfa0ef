"""Indexes that no query asks for cost every job a page or two at each of its steps."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UNASKED: Final = (
    ("ix_jobs_status", "jobs", ["status", "updated_at"]),
    ("ix_job_events_at", "job_events", ["at"]),
    ("ix_job_events_trace_id", "job_events", ["trace_id"]),
    ("ix_work_subject", "work", ["subject_kind", "subject_id", "created_at"]),
    ("ix_work_state_updated_at", "work", ["state", "updated_at"]),
    ("ix_callback_events_subject", "callback_events", ["family", "subject_id", "received_at"]),
)


def upgrade() -> None:
    for name, table, _ in _UNASKED:
        op.drop_index(name, table)
    where = sa.text("status = 'FAILED'")
    op.create_index("ix_jobs_failed", "jobs", ["job_id"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_jobs_failed", "jobs")
    for name, table, columns in _UNASKED:
        op.create_index(name, table, columns)
