"""Replays of dead letters, of failed work and of failed publications; keys of imports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_TABLES = ("replay_runs", "replay_items", "dead_letter_replays", "imported_keys")
"""In the order in which they are made."""


def upgrade() -> None:
    _create_replay_runs()
    _create_replay_items()
    _create_dead_letter_replays()
    _create_imported_keys()
    running = sa.text("status = 'running'")
    op.create_index("ix_ops_runs_running", "ops_runs", ["started_at"], sqlite_where=running, postgresql_where=running)


def downgrade() -> None:
    op.drop_index("ix_ops_runs_running", "ops_runs")
    for table in reversed(_TABLES):
        op.drop_table(table)


def _create_replay_runs() -> None:
    op.create_table(
        "replay_runs",
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("frozen_at", _INTEGER, nullable=False),
        sa.Column("is_selecting", _INTEGER, nullable=False),
        sa.Column("requested", _INTEGER, server_default="0", nullable=False),
        sa.Column("stopped", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_replay_runs")),
        sqlite_strict=True,
    )


def _create_replay_items() -> None:
    op.create_table(
        "replay_items",
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("target", _TEXT, nullable=False),
        sa.Column("item_id", _TEXT, nullable=False),
        sa.Column("replay_number", _INTEGER, nullable=True),
        sa.Column("outcome", _TEXT, nullable=True),
        sa.Column("reason", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("run_id", "target", "item_id", name=op.f("pk_replay_items")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    in_flight = sa.text("replay_number IS NOT NULL AND outcome IS NULL")
    op.create_index(
        "ix_replay_items_in_flight", "replay_items", ["run_id"], sqlite_where=in_flight, postgresql_where=in_flight
    )
    op.create_index("ix_replay_items_outcome", "replay_items", ["run_id", "outcome"])
    waiting = sa.text("replay_number IS NULL AND outcome IS NULL")
    op.create_index(
        "ix_replay_items_waiting",
        "replay_items",
        ["run_id", "target", "item_id"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def _create_dead_letter_replays() -> None:
    op.create_table(
        "dead_letter_replays",
        sa.Column("dead_letter_id", _TEXT, nullable=False),
        sa.Column("replay_number", _INTEGER, nullable=False),
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("principal", _TEXT, nullable=False),
        sa.Column("requested_at", _INTEGER, nullable=False),
        sa.Column("outcome", _TEXT, nullable=True),
        sa.Column("problem", _TEXT, nullable=True),
        sa.Column("decided_at", _INTEGER, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("dead_letter_id", "replay_number", name=op.f("pk_dead_letter_replays")),
        sqlite_strict=True,
    )
    undecided = sa.text("outcome IS NULL")
    op.create_index(
        "ix_dead_letter_replays_undecided",
        "dead_letter_replays",
        ["requested_at"],
        sqlite_where=undecided,
        postgresql_where=undecided,
    )


def _create_imported_keys() -> None:
    op.create_table(
        "imported_keys",
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "message_id", name=op.f("pk_imported_keys")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
