"""Why a message was refused first, beside the reason that a refused replay put in its place."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("dead_letters", sa.Column("first_problem", _TEXT, nullable=True))


def downgrade() -> None:
    op.drop_column("dead_letters", "first_problem")
