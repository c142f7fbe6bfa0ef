"""Ideas, and the scripts of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_ideas()
    _create_scripts()


def downgrade() -> None:
    op.drop_table("scripts")
    op.drop_table("ideas")


def _create_ideas() -> None:
    op.create_table(
        "ideas",
        sa.Column("idea_id", _TEXT, nullable=False),
        sa.Column("topic", _TEXT, nullable=False),
        sa.Column("objective", _TEXT, nullable=False),
        sa.Column("hook", _TEXT, nullable=False),
        sa.Column("format", _TEXT, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("producer", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("received_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("idea_id", name=op.f("pk_ideas")),
        sqlite_strict=True,
    )
    op.create_index("ix_ideas_created_at", "ideas", ["created_at", "idea_id"])


def _create_scripts() -> None:
    op.create_table(
        "scripts",
        sa.Column("script_id", _TEXT, nullable=False),
        sa.Column("idea_id", _TEXT, nullable=False),
        sa.Column("title", _TEXT, nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.Column("duration_s", _INTEGER, nullable=False),
        sa.Column("scenes", _TEXT, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("producer", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("received_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("script_id", name=op.f("pk_scripts")),
        sqlite_strict=True,
    )
    op.create_index("ix_scripts_created_at", "scripts", ["created_at", "script_id"])
    op.create_index("ix_scripts_idea_id", "scripts", ["idea_id", "created_at", "script_id"])
