"""What the pipeline is fed with and what it puts out: items of feeds, ideas, scripts, publications."""

from typing import Final

from sqlalchemy import Index, Table
from sqlalchemy import text as sql

from storage.tables.base import integer, metadata, partial_index, real, text

_SCHEDULED: Final = sql("status = 'scheduled'")

feed_items: Final = Table(
    "feed_items",
    metadata,
    text("item_id", primary_key=True),
    text("source"),
    text("title"),
    text("url"),
    integer("published_at"),
    text("text", nullable=True),
    text("status"),
    integer("attempt", default="0"),
    text("work_id", nullable=True),
    text("sentiment_label", nullable=True),
    real("sentiment_score", nullable=True),
    text("failure", nullable=True),
    text("message_id"),
    text("trace_id"),
    text("producer"),
    integer("created_at"),
    integer("received_at"),
    integer("updated_at"),
    integer("version", default="1"),
    Index("ix_feed_items_published_at", "published_at", "item_id"),
    Index("ix_feed_items_status_published_at", "status", "published_at", "item_id"),
    Index("ix_feed_items_message_id", "message_id"),
    Index("ix_feed_items_trace_id", "trace_id"),
    sqlite_strict=True,
)

ideas: Final = Table(
    "ideas",
    metadata,
    text("idea_id", primary_key=True),
    text("topic"),
    text("objective"),
    text("hook"),
    text("format"),
    text("message_id"),
    text("trace_id"),
    text("producer"),
    integer("created_at"),
    integer("received_at"),
    integer("updated_at"),
    Index("ix_ideas_created_at", "created_at", "idea_id"),
    Index("ix_ideas_message_id", "message_id"),
    Index("ix_ideas_trace_id", "trace_id"),
    sqlite_strict=True,
)

scripts: Final = Table(
    "scripts",
    metadata,
    text("script_id", primary_key=True),
    # No foreign key: a script may come before its idea.
    text("idea_id"),
    text("title"),
    text("body"),
    integer("duration_s"),
    text("scenes"),
    text("message_id"),
    text("trace_id"),
    text("producer"),
    integer("created_at"),
    integer("received_at"),
    integer("updated_at"),
    Index("ix_scripts_created_at", "created_at", "script_id"),
    Index("ix_scripts_idea_id", "idea_id", "created_at", "script_id"),
    Index("ix_scripts_message_id", "message_id"),
    Index("ix_scripts_trace_id", "trace_id"),
    sqlite_strict=True,
)

publications: Final = Table(
    "publications",
    metadata,
    text("post_id", primary_key=True),
    text("script_id", nullable=True),
    text("job_id", nullable=True),
    text("platform"),
    integer("publish_at"),
    text("caption"),
    text("hashtags"),
    text("topic", nullable=True),
    text("objective", nullable=True),
    text("status"),
    integer("due_at"),
    integer("attempt", default="0"),
    integer("failures", default="0"),
    text("work_id", nullable=True),
    text("external_id", nullable=True),
    text("failure", nullable=True),
    text("message_id"),
    text("trace_id"),
    text("producer"),
    integer("created_at"),
    integer("received_at"),
    integer("updated_at"),
    integer("version", default="1"),
    text("cancelled_by", nullable=True),
    integer("cancelled_at", nullable=True),
    text("cancel_reason", nullable=True),
    partial_index("ix_publications_due_at", "due_at", where=_SCHEDULED),
    Index("ix_publications_publish_at", "publish_at", "post_id"),
    Index("ix_publications_status_publish_at", "status", "publish_at", "post_id"),
    Index("ix_publications_message_id", "message_id"),
    Index("ix_publications_trace_id", "trace_id"),
    sqlite_strict=True,
)
