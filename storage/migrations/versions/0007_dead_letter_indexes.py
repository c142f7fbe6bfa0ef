"""Indexes for the pages and groups of dead letters; why something was edited or discarded, and by whom."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KIND_AND_CODE = ("ix_dead_letters_kind_code", ["kind", "code"])


def upgrade() -> None:
    op.create_index("ix_dead_letters_page", "dead_letters", ["received_at", "dead_letter_id"])
    op.create_index(
        "ix_dead_letters_group", "dead_letters", ["state", "kind", "code", "paths", "producer", "received_at"]
    )
    op.drop_index(_KIND_AND_CODE[0], "dead_letters")
    op.add_column("dead_letter_replays", sa.Column("reason", _TEXT, nullable=True))
    op.create_table(
        "dead_letter_discards",
        sa.Column("dead_letter_id", _TEXT, nullable=False),
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("principal", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=True),
        sa.Column("discarded_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("dead_letter_id", name=op.f("pk_dead_letter_discards")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("dead_letter_discards")
    with op.batch_alter_table("dead_letter_replays") as replays:
        replays.drop_column("reason")
    op.create_index(_KIND_AND_CODE[0], "dead_letters", _KIND_AND_CODE[1])
    op.drop_index("ix_dead_letters_group", "dead_letters")
    op.drop_index("ix_dead_letters_page", "dead_letters")
