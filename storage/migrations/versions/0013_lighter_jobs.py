"""Fewer pages for each step of a job: commands in the order in which they came, and a trace once for each job."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TEXT: Final = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TRACE: Final = ("ix_job_events_trace_id", "job_events", ["trace_id"])
_COMMANDS: Final = ("caller", "command", "message_id", "payload_hash", "status", "result", "created_at")


def upgrade() -> None:
    # Of the rows that are there each begins its trace, which is more than is needed and never too little.
    op.add_column("job_events", sa.Column("starts_trace", _INTEGER, server_default="1", nullable=False))
    op.drop_index(_TRACE[0], _TRACE[1])
    first = sa.text("starts_trace = 1")
    op.create_index(*_TRACE, sqlite_where=first, postgresql_where=first)
    _make_command_log_anew(with_rowid=True)


def downgrade() -> None:
    _make_command_log_anew(with_rowid=False)
    op.drop_index(_TRACE[0], _TRACE[1])
    op.create_index(*_TRACE)
    op.drop_column("job_events", "starts_trace")


def _make_command_log_anew(*, with_rowid: bool) -> None:
    """Clustered by its key, which is random, each command is a page of its own to write, with its whole answer."""
    if op.get_bind().dialect.name != "sqlite":
        return  # a table of PostgreSQL is a heap
    op.rename_table("command_log", "command_log_before")
    op.create_table(
        "command_log",
        sa.Column("caller", _TEXT, nullable=False),
        sa.Column("command", _TEXT, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("payload_hash", _TEXT, nullable=False),
        sa.Column("status", _INTEGER, nullable=False),
        sa.Column("result", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("caller", "command", "message_id", name=op.f("pk_command_log")),
        sqlite_strict=True,
        **({} if with_rowid else {"sqlite_with_rowid": False}),
    )
    log = sa.table("command_log", *map(sa.column, _COMMANDS))
    before = sa.table("command_log_before", *map(sa.column, _COMMANDS))
    op.execute(log.insert().from_select(list(_COMMANDS), sa.select(before).order_by("created_at")))
    op.drop_table("command_log_before")
