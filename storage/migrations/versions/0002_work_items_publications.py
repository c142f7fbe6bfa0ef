"""Work that is handed out, what workers report, items of feeds and publications."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")

_TABLES = ("work", "work_removals", "work_takers", "self_heal_rounds", "callback_events", "feed_items", "publications")
"""In the order in which they are made."""


def upgrade() -> None:
    _create_work()
    _create_work_removals()
    _create_work_takers()
    _create_self_heal_rounds()
    _create_callback_events()
    _create_feed_items()
    _create_publications()


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


def _create_work() -> None:
    op.create_table(
        "work",
        sa.Column("work_id", _TEXT, nullable=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("subject_kind", _TEXT, nullable=False),
        sa.Column("subject_id", _TEXT, nullable=False),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("redispatches", _INTEGER, server_default="0", nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("deadline_s", _REAL, nullable=False),
        sa.Column("deadline_at", _INTEGER, nullable=False),
        sa.Column("counted_from", _INTEGER, nullable=False),
        sa.Column("dispatched_at", _INTEGER, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("stream_sequence", _INTEGER, nullable=True),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("failure", _TEXT, nullable=True),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("work_id", name=op.f("pk_work")),
        sa.UniqueConstraint("message_id", name=op.f("uq_work_message_id")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_work_counted_from",
        "work",
        ["type", "counted_from"],
        sqlite_where=sa.text("state = 'dispatched'"),
        postgresql_where=sa.text("state = 'dispatched'"),
    )
    op.create_index(
        "ix_work_deadline_at",
        "work",
        ["deadline_at"],
        sqlite_where=sa.text("state = 'dispatched'"),
        postgresql_where=sa.text("state = 'dispatched'"),
    )
    op.create_index("ix_work_state_updated_at", "work", ["state", "updated_at"])
    op.create_index("ix_work_subject", "work", ["subject_kind", "subject_id", "created_at"])


def _create_work_removals() -> None:
    op.create_table(
        "work_removals",
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("stream_sequence", _INTEGER, nullable=True),
        sa.Column("not_before", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_work_removals")),
        sqlite_strict=True,
    )


def _create_work_takers() -> None:
    op.create_table(
        "work_takers",
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("observed_at", _INTEGER, nullable=False),
        sa.Column("pulled_at", _INTEGER, nullable=True),
        sa.Column("idle_since", _INTEGER, nullable=True),
        sa.PrimaryKeyConstraint("type", name=op.f("pk_work_takers")),
        sqlite_strict=True,
    )


def _create_self_heal_rounds() -> None:
    op.create_table(
        "self_heal_rounds",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("started_at", _INTEGER, nullable=False),
        sa.Column("daemon", _TEXT, nullable=False),
        sa.Column("result", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_self_heal_rounds")),
        sqlite_strict=True,
    )


def _create_callback_events() -> None:
    op.create_table(
        "callback_events",
        sa.Column("family", _TEXT, nullable=False),
        sa.Column("event_id", _TEXT, nullable=False),
        sa.Column("event_hash", _TEXT, nullable=False),
        sa.Column("subject_id", _TEXT, nullable=False),
        sa.Column("attempt", _INTEGER, nullable=True),
        sa.Column("sequence", _INTEGER, nullable=True),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("received_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("family", "event_id", name=op.f("pk_callback_events")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_callback_events_subject", "callback_events", ["family", "subject_id", "received_at"])


def _create_feed_items() -> None:
    op.create_table(
        "feed_items",
        sa.Column("item_id", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("title", _TEXT, nullable=False),
        sa.Column("url", _TEXT, nullable=False),
        sa.Column("published_at", _INTEGER, nullable=False),
        sa.Column("text", _TEXT, nullable=True),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("attempt", _INTEGER, server_default="0", nullable=False),
        sa.Column("work_id", _TEXT, nullable=True),
        sa.Column("sentiment_label", _TEXT, nullable=True),
        sa.Column("sentiment_score", _REAL, nullable=True),
        sa.Column("failure", _TEXT, nullable=True),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("producer", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("received_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_feed_items")),
        sqlite_strict=True,
    )
    op.create_index("ix_feed_items_published_at", "feed_items", ["published_at", "item_id"])
    op.create_index("ix_feed_items_status_published_at", "feed_items", ["status", "published_at"])


def _create_publications() -> None:
    op.create_table(
        "publications",
        sa.Column("post_id", _TEXT, nullable=False),
        sa.Column("script_id", _TEXT, nullable=True),
        sa.Column("job_id", _TEXT, nullable=True),
        sa.Column("platform", _TEXT, nullable=False),
        sa.Column("publish_at", _INTEGER, nullable=False),
        sa.Column("caption", _TEXT, nullable=False),
        sa.Column("hashtags", _TEXT, nullable=False),
        sa.Column("topic", _TEXT, nullable=True),
        sa.Column("objective", _TEXT, nullable=True),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("due_at", _INTEGER, nullable=False),
        sa.Column("attempt", _INTEGER, server_default="0", nullable=False),
        sa.Column("failures", _INTEGER, server_default="0", nullable=False),
        sa.Column("work_id", _TEXT, nullable=True),
        sa.Column("external_id", _TEXT, nullable=True),
        sa.Column("failure", _TEXT, nullable=True),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("producer", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("received_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("post_id", name=op.f("pk_publications")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_publications_due_at",
        "publications",
        ["due_at"],
        sqlite_where=sa.text("status = 'scheduled'"),
        postgresql_where=sa.text("status = 'scheduled'"),
    )
    op.create_index("ix_publications_publish_at", "publications", ["publish_at", "post_id"])
    op.create_index("ix_publications_status_publish_at", "publications", ["status", "publish_at"])
