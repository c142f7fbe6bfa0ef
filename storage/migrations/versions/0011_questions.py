"""Indexes by which a story is read: ids of messages and traces, and what a thing's work and callbacks hang on.

A session's usage is read in the order of its moments, so its index gets them as a second column.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_dead_letters_message_id", "dead_letters", ["message_id"]),
    ("ix_dead_letters_trace_id", "dead_letters", ["trace_id"]),
    ("ix_dead_letters_subject", "dead_letters", ["subject"]),
    ("ix_ops_runs_trace_id", "ops_runs", ["trace_id"]),
    ("ix_job_events_trace_id", "job_events", ["trace_id"]),
    ("ix_tasks_trace_id", "tasks", ["trace_id"]),
    ("ix_feed_items_message_id", "feed_items", ["message_id"]),
    ("ix_feed_items_trace_id", "feed_items", ["trace_id"]),
    ("ix_ideas_message_id", "ideas", ["message_id"]),
    ("ix_ideas_trace_id", "ideas", ["trace_id"]),
    ("ix_scripts_message_id", "scripts", ["message_id"]),
    ("ix_scripts_trace_id", "scripts", ["trace_id"]),
    ("ix_publications_message_id", "publications", ["message_id"]),
    ("ix_publications_trace_id", "publications", ["trace_id"]),
    ("ix_session_events_message_id", "session_events", ["message_id"]),
    ("ix_session_usage_message_id", "session_usage", ["message_id"]),
    ("ix_work_subject_id", "work", ["subject_id"]),
    ("ix_callback_events_subject_id", "callback_events", ["subject_id"]),
    ("ix_dead_letter_replays_run_id", "dead_letter_replays", ["run_id"]),
    ("ix_replay_items_item_id", "replay_items", ["item_id"]),
    ("ix_session_usage_session_id_at", "session_usage", ["session_id", "at"]),
)


def upgrade() -> None:
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns)
    op.drop_index("ix_session_usage_session_id", "session_usage")


def downgrade() -> None:
    op.create_index("ix_session_usage_session_id", "session_usage", ["session_id"])
    for name, table, _ in reversed(_INDEXES):
        op.drop_index(name, table)
