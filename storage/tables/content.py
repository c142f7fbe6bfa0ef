"""What the pipeline is fed with and what it puts out: items of feeds, publications."""

from typing import Final

from sqlalchemy import Index, Table
from sqlalchemy import text as sql

from storage.tables.base import integer, metadata, real, text

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
    Index("ix_feed_items_published_at", "published_at", "item_id"),
    Index("ix_feed_items_status_published_at", "status", "published_at"),
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
    Index("ix_publications_due_at", "due_at", sqlite_where=_SCHEDULED, postgresql_where=_SCHEDULED),
    Index("ix_publications_publish_at", "publish_at", "post_id"),
    Index("ix_publications_status_publish_at", "status", "publish_at"),
    sqlite_strict=True,
)
