"""What the daemon remembers of messages and of itself: inbox, outbox, dead letters, commands, runs, leases."""

from typing import Final

from sqlalchemy import Index, Table, UniqueConstraint
from sqlalchemy import text as sql

from storage.tables.base import blob, integer, metadata, partial_index, serial, text

_PENDING: Final = sql("state = 'pending'")
_FAILED: Final = sql("state = 'failed'")
_RUNNING: Final = sql("status = 'running'")

inbox: Final = Table(
    "inbox",
    metadata,
    text("kind", primary_key=True),
    text("message_id", primary_key=True),
    text("payload_hash"),
    integer("received_at"),
    sqlite_strict=True,
    # Keyed as the ids came: producers number their messages, so inserts land on few pages.
    sqlite_with_rowid=False,
)

outbox: Final = Table(
    "outbox",
    metadata,
    serial("position"),
    text("message_id"),
    text("lane"),
    text("aggregate"),
    text("subject"),
    text("headers"),
    text("owner"),
    integer("created_at"),
    integer("attempts", default="0"),
    integer("tried_at", nullable=True),
    text("state"),
    text("failure", nullable=True),
    # Last: what stands behind a long value can be read only through all of its pages.
    blob("body"),
    UniqueConstraint("message_id"),
    partial_index("ix_outbox_owner_lane", "owner", "lane", "position", where=_PENDING),
    # Hardly ever has a row: so that counting what was refused for good costs nothing.
    partial_index("ix_outbox_failed", "position", where=_FAILED),
    sqlite_strict=True,
    # A position is never used twice: a daemon that comes back from a long pause must not remove another's row.
    sqlite_autoincrement=True,
)

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    text("dead_letter_id", primary_key=True),
    text("state"),
    text("kind"),
    text("code"),
    text("paths"),
    text("problem"),
    text("message_id", nullable=True),
    text("producer", nullable=True),
    text("trace_id", nullable=True),
    text("stream"),
    text("subject"),
    integer("sequence"),
    integer("stored_at"),
    integer("delivered"),
    integer("received_at"),
    text("headers"),
    integer("replay_number", default="0"),
    integer("updated_at"),
    blob("body"),
    # Why the message was refused first, once a refused replay has put another reason in its place.
    text("first_problem", nullable=True),
    UniqueConstraint("stream", "sequence", "stored_at"),
    Index("ix_dead_letters_state_received_at", "state", "received_at"),
    # Pages, newest first; and groups, each of which the index also lists by itself.
    Index("ix_dead_letters_page", "received_at", "dead_letter_id"),
    Index("ix_dead_letters_group", "state", "kind", "code", "paths", "producer", "received_at"),
    Index("ix_dead_letters_message_id", "message_id"),
    Index("ix_dead_letters_trace_id", "trace_id"),
    Index("ix_dead_letters_subject", "subject"),
    sqlite_strict=True,
)

command_log: Final = Table(
    "command_log",
    metadata,
    text("caller", primary_key=True),
    text("command", primary_key=True),
    text("message_id", primary_key=True),
    text("payload_hash"),
    integer("status"),
    text("result"),
    integer("created_at"),
    # In the order in which they came: by its key, which is random, each command would be a page to write.
    sqlite_strict=True,
)

ops_runs: Final = Table(
    "ops_runs",
    metadata,
    text("run_id", primary_key=True),
    text("operation"),
    text("parameters"),
    text("principal"),
    text("trace_id", nullable=True),
    text("status"),
    integer("started_at"),
    integer("ended_at", nullable=True),
    text("result", nullable=True),
    text("error", nullable=True),
    text("daemon", nullable=True),
    Index("ix_ops_runs_started_at", "started_at"),
    Index("ix_ops_runs_operation_started_at", "operation", "started_at"),
    # A handful at any time: each daemon looks for those whose daemon died.
    partial_index("ix_ops_runs_running", "started_at", where=_RUNNING),
    Index("ix_ops_runs_trace_id", "trace_id"),
    sqlite_strict=True,
)

leases: Final = Table(
    "leases",
    metadata,
    text("name", primary_key=True),
    text("holder"),
    integer("number"),
    integer("expires_at"),
    sqlite_strict=True,
)
