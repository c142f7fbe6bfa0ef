"""Replays: the runs, what each one selected, and every replay of every dead letter."""

from typing import Final

from sqlalchemy import Index, Table
from sqlalchemy import text as sql

from storage.tables.base import blob, integer, metadata, partial_index, text

_WAITING: Final = sql("replay_number IS NULL AND outcome IS NULL")
_IN_FLIGHT: Final = sql("replay_number IS NOT NULL AND outcome IS NULL")
_UNDECIDED: Final = sql("outcome IS NULL")

replay_runs: Final = Table(
    "replay_runs",
    metadata,
    text("run_id", primary_key=True),
    # What failed after this moment never joins the run.
    integer("frozen_at"),
    # 1 while what was selected is not all written down.
    integer("is_selecting"),
    integer("requested", default="0"),
    # Why it is to send nothing more.
    text("stopped", nullable=True),
    sqlite_strict=True,
)

replay_items: Final = Table(
    "replay_items",
    metadata,
    text("run_id", primary_key=True),
    text("target", primary_key=True),
    text("item_id", primary_key=True),
    integer("replay_number", nullable=True),
    text("outcome", nullable=True),
    text("reason", nullable=True),
    partial_index("ix_replay_items_in_flight", "run_id", where=_IN_FLIGHT),
    Index("ix_replay_items_outcome", "run_id", "outcome"),
    partial_index("ix_replay_items_waiting", "run_id", "target", "item_id", where=_WAITING),
    Index("ix_replay_items_item_id", "item_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

dead_letter_replays: Final = Table(
    "dead_letter_replays",
    metadata,
    text("dead_letter_id", primary_key=True),
    integer("replay_number", primary_key=True),
    text("run_id"),
    text("principal"),
    integer("requested_at"),
    text("outcome", nullable=True),
    text("problem", nullable=True),
    integer("decided_at", nullable=True),
    # The body that an operator put in the place of the one that came.
    blob("body", nullable=True),
    # Why an operator edited it.
    text("reason", nullable=True),
    partial_index("ix_dead_letter_replays_undecided", "requested_at", where=_UNDECIDED),
    Index("ix_dead_letter_replays_run_id", "run_id"),
    sqlite_strict=True,
)

dead_letter_discards: Final = Table(
    "dead_letter_discards",
    metadata,
    text("dead_letter_id", primary_key=True),
    text("run_id"),
    text("principal"),
    text("reason", nullable=True),
    integer("discarded_at"),
    sqlite_strict=True,
)

imported_keys: Final = Table(
    "imported_keys",
    metadata,
    # Keys of messages that were imported: they are not forgotten with the others.
    text("kind", primary_key=True),
    text("message_id", primary_key=True),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
