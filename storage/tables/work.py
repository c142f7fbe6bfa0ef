"""Work that was handed out, its messages that are to leave the queue, and what is known of those who take it."""

from typing import Final

from sqlalchemy import Index, Table, UniqueConstraint
from sqlalchemy import text as sql

from storage.tables.base import integer, metadata, partial_index, real, text

_DISPATCHED: Final = sql("state = 'dispatched'")

work: Final = Table(
    "work",
    metadata,
    text("work_id", primary_key=True),
    text("type"),
    text("subject_kind"),
    text("subject_id"),
    integer("attempt"),
    integer("redispatches", default="0"),
    text("state"),
    real("deadline_s"),
    integer("deadline_at"),
    # Since when its time runs: the dispatch or the last sign of life, later where nobody took such work.
    integer("counted_from"),
    integer("dispatched_at"),
    text("message_id"),
    # Where the message lies in its stream; known once the stream has confirmed it.
    integer("stream_sequence", nullable=True),
    text("trace_id"),
    text("failure", nullable=True),
    integer("created_at"),
    integer("updated_at"),
    UniqueConstraint("message_id"),
    partial_index("ix_work_deadline_at", "deadline_at", where=_DISPATCHED),
    partial_index("ix_work_counted_from", "type", "counted_from", where=_DISPATCHED),
    Index("ix_work_subject_id", "subject_id"),
    sqlite_strict=True,
)

work_removals: Final = Table(
    "work_removals",
    metadata,
    text("message_id", primary_key=True),
    text("type"),
    integer("stream_sequence", nullable=True),
    # The message cannot be older: where its place is not known, it is looked for from here on.
    integer("not_before"),
    sqlite_strict=True,
)

work_takers: Final = Table(
    "work_takers",
    metadata,
    text("type", primary_key=True),
    integer("observed_at"),
    integer("pulled_at", nullable=True),
    integer("idle_since", nullable=True),
    sqlite_strict=True,
)

self_heal_rounds: Final = Table(
    "self_heal_rounds",
    metadata,
    # One row: the last round, whichever daemon ran it.
    text("name", primary_key=True),
    integer("started_at"),
    text("daemon"),
    text("result"),
    sqlite_strict=True,
)

callback_events: Final = Table(
    "callback_events",
    metadata,
    text("family", primary_key=True),
    text("event_id", primary_key=True),
    text("event_hash"),
    text("subject_id"),
    integer("attempt", nullable=True),
    integer("sequence", nullable=True),
    text("trace_id"),
    integer("received_at"),
    Index("ix_callback_events_subject_id", "subject_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
