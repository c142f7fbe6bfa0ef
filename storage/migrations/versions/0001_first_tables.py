"""The first tables: what is remembered of messages, of the daemon itself, of sessions and of what they cost."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_TABLES = (
    "inbox",
    "outbox",
    "dead_letters",
    "command_log",
    "ops_runs",
    "leases",
    "session_ledger",
    "session_events",
    "session_usage",
    "daily_usage_agg",
    "model_perf_agg",
    "pricing_versions",
)
"""In the order in which they are made."""


def upgrade() -> None:
    _create_inbox()
    _create_outbox()
    _create_dead_letters()
    _create_command_log()
    _create_ops_runs()
    _create_leases()
    _create_session_ledger()
    _create_session_events()
    _create_session_usage()
    _create_daily_usage_agg()
    _create_model_perf_agg()
    _create_pricing_versions()
    _make_searchable()


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.get_bind().exec_driver_sql("DROP TABLE session_events_search")
    for table in reversed(_TABLES):
        op.drop_table(table)


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("payload_hash", _TEXT, nullable=False),
        sa.Column("received_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("kind", "message_id", name=op.f("pk_inbox")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", _INTEGER, autoincrement=True, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("lane", _TEXT, nullable=False),
        sa.Column("aggregate", _TEXT, nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("headers", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("attempts", _INTEGER, server_default="0", nullable=False),
        sa.Column("tried_at", _INTEGER, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("failure", _TEXT, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_message_id")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_outbox_owner_lane",
        "outbox",
        ["owner", "lane", "position"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_outbox_failed",
        "outbox",
        ["position"],
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("dead_letter_id", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("code", _TEXT, nullable=False),
        sa.Column("paths", _TEXT, nullable=False),
        sa.Column("problem", _TEXT, nullable=False),
        sa.Column("message_id", _TEXT, nullable=True),
        sa.Column("producer", _TEXT, nullable=True),
        sa.Column("trace_id", _TEXT, nullable=True),
        sa.Column("stream", _TEXT, nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("sequence", _INTEGER, nullable=False),
        sa.Column("stored_at", _INTEGER, nullable=False),
        sa.Column("delivered", _INTEGER, nullable=False),
        sa.Column("received_at", _INTEGER, nullable=False),
        sa.Column("headers", _TEXT, nullable=False),
        sa.Column("replay_number", _INTEGER, server_default="0", nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("dead_letter_id", name=op.f("pk_dead_letters")),
        sa.UniqueConstraint("stream", "sequence", "stored_at", name=op.f("uq_dead_letters_stream_sequence_stored_at")),
        sqlite_strict=True,
    )
    op.create_index("ix_dead_letters_kind_code", "dead_letters", ["kind", "code"])
    op.create_index("ix_dead_letters_state_received_at", "dead_letters", ["state", "received_at"])


def _create_command_log() -> None:
    op.create_table(
        "command_log",
        sa.Column("caller", _TEXT, nullable=False),
        sa.Column("command", _TEXT, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("payload_hash", _TEXT, nullable=False),
        sa.Column("status", _INTEGER, nullable=False),
        sa.Column("result", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("caller", "command", "message_id", name=op.f("pk_command_log")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_ops_runs() -> None:
    op.create_table(
        "ops_runs",
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("operation", _TEXT, nullable=False),
        sa.Column("parameters", _TEXT, nullable=False),
        sa.Column("principal", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=True),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("started_at", _INTEGER, nullable=False),
        sa.Column("ended_at", _INTEGER, nullable=True),
        sa.Column("result", _TEXT, nullable=True),
        sa.Column("error", _TEXT, nullable=True),
        sa.Column("daemon", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_ops_runs")),
        sqlite_strict=True,
    )
    op.create_index("ix_ops_runs_operation_started_at", "ops_runs", ["operation", "started_at"])
    op.create_index("ix_ops_runs_started_at", "ops_runs", ["started_at"])


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("holder", _TEXT, nullable=False),
        sa.Column("number", _INTEGER, nullable=False),
        sa.Column("expires_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        sqlite_strict=True,
    )


def _create_session_ledger() -> None:
    op.create_table(
        "session_ledger",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("agent", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=True),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("status_at", _INTEGER, nullable=True),
        sa.Column("model_at", _INTEGER, nullable=True),
        sa.Column("started_at", _INTEGER, nullable=False),
        sa.Column("last_at", _INTEGER, nullable=False),
        sa.Column("events", _INTEGER, server_default="0", nullable=False),
        sa.Column("requests", _INTEGER, server_default="0", nullable=False),
        sa.Column("errors", _INTEGER, server_default="0", nullable=False),
        sa.Column("input_tokens", _INTEGER, server_default="0", nullable=False),
        sa.Column("output_tokens", _INTEGER, server_default="0", nullable=False),
        sa.Column("cost_usd_micros", _INTEGER, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_ledger")),
        sqlite_strict=True,
    )
    op.create_index("ix_session_ledger_agent", "session_ledger", ["agent", "started_at"])
    op.create_index("ix_session_ledger_model", "session_ledger", ["model", "started_at"])
    op.create_index("ix_session_ledger_started_at", "session_ledger", ["started_at", "session_id"])
    op.create_index("ix_session_ledger_status", "session_ledger", ["status", "started_at"])


def _create_session_events() -> None:
    op.create_table(
        "session_events",
        sa.Column("event_id", _INTEGER, autoincrement=True, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("agent", _TEXT, nullable=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("at", _INTEGER, nullable=False),
        sa.Column("model", _TEXT, nullable=True),
        sa.Column("text", _TEXT, nullable=True),
        sa.Column("data", _TEXT, nullable=True),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("producer", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_session_events")),
        sqlite_strict=True,
    )
    op.create_index("ix_session_events_session_id_at", "session_events", ["session_id", "at"])
    op.create_index("ix_session_events_trace_id", "session_events", ["trace_id"])


def _create_session_usage() -> None:
    op.create_table(
        "session_usage",
        sa.Column("usage_id", _INTEGER, autoincrement=True, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("agent", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=False),
        sa.Column("at", _INTEGER, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("input_tokens", _INTEGER, nullable=True),
        sa.Column("output_tokens", _INTEGER, nullable=True),
        sa.Column("runtime_ms", _INTEGER, nullable=True),
        sa.Column("cost_usd_micros", _INTEGER, nullable=True),
        sa.Column("computed_cost_usd_micros", _INTEGER, nullable=True),
        sa.Column("pricing_version", _TEXT, nullable=True),
        sa.Column("input_price_usd_micros_per_mtok", _INTEGER, nullable=True),
        sa.Column("output_price_usd_micros_per_mtok", _INTEGER, nullable=True),
        sa.Column("computed_pricing_version", _TEXT, nullable=True),
        sa.Column("tokens_source", _TEXT, nullable=False),
        sa.Column("tokens_confidence", _TEXT, nullable=False),
        sa.Column("runtime_source", _TEXT, nullable=False),
        sa.Column("runtime_confidence", _TEXT, nullable=False),
        sa.Column("cost_source", _TEXT, nullable=False),
        sa.Column("cost_confidence", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("producer", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("usage_id", name=op.f("pk_session_usage")),
        sqlite_strict=True,
    )
    op.create_index("ix_session_usage_at", "session_usage", ["at"])
    op.create_index("ix_session_usage_session_id", "session_usage", ["session_id"])


def _create_daily_usage_agg() -> None:
    op.create_table(
        "daily_usage_agg",
        sa.Column("day", _TEXT, nullable=False),
        sa.Column("agent", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=False),
        sa.Column("requests", _INTEGER, nullable=False),
        sa.Column("errors", _INTEGER, nullable=False),
        sa.Column("input_tokens", _INTEGER, nullable=False),
        sa.Column("output_tokens", _INTEGER, nullable=False),
        sa.Column("runtime_ms", _INTEGER, nullable=False),
        sa.Column("cost_usd_micros", _INTEGER, nullable=False),
        sa.Column("tokens_reported", _INTEGER, nullable=False),
        sa.Column("tokens_derived", _INTEGER, nullable=False),
        sa.Column("tokens_missing_count", _INTEGER, nullable=False),
        sa.Column("runtime_ms_reported", _INTEGER, nullable=False),
        sa.Column("runtime_ms_derived", _INTEGER, nullable=False),
        sa.Column("runtime_missing_count", _INTEGER, nullable=False),
        sa.Column("cost_usd_micros_reported", _INTEGER, nullable=False),
        sa.Column("cost_usd_micros_derived", _INTEGER, nullable=False),
        sa.Column("cost_missing_count", _INTEGER, nullable=False),
        sa.Column("unpriced", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("day", "agent", "model", name=op.f("pk_daily_usage_agg")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_model_perf_agg() -> None:
    op.create_table(
        "model_perf_agg",
        sa.Column("day", _TEXT, nullable=False),
        sa.Column("agent", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=False),
        sa.Column("bucket", _INTEGER, nullable=False),
        sa.Column("requests", _INTEGER, nullable=False),
        sa.Column("errors", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("day", "agent", "model", "bucket", name=op.f("pk_model_perf_agg")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_pricing_versions() -> None:
    op.create_table(
        "pricing_versions",
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("first_seen_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_pricing_versions")),
        sqlite_strict=True,
    )


def _make_searchable() -> None:
    """Full text of what sessions said; rows without text are in no index.

    Words are what stands between characters that are neither letters nor digits, case and nothing else folded. The
    parser of PostgreSQL would keep host names, paths and numbers with a sign together, so ASCII punctuation becomes
    blanks first.
    """
    connection = op.get_bind()
    for statement in _POSTGRES_INDEX if connection.dialect.name == "postgresql" else _SQLITE_INDEX:
        connection.exec_driver_sql(statement)


_POSTGRES_INDEX = (
    r"""
CREATE INDEX ix_session_events_text ON session_events USING gin (
    to_tsvector(
        'simple',
        translate(
            text,
            E'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~',
            '                                '
        )
    )
) WHERE text IS NOT NULL
""",
)

# The words lie in the index alone (external content), which follows the rows by triggers.
_SQLITE_INDEX = (
    """
CREATE VIRTUAL TABLE session_events_search USING fts5(
    text,
    content='session_events',
    content_rowid='event_id',
    tokenize="unicode61 remove_diacritics 0 categories 'L* N*'"
)
""",
    """
CREATE TRIGGER session_events_search_insert AFTER INSERT ON session_events WHEN new.text IS NOT NULL BEGIN
    INSERT INTO session_events_search (rowid, text) VALUES (new.event_id, new.text);
END
""",
    """
CREATE TRIGGER session_events_search_delete AFTER DELETE ON session_events WHEN old.text IS NOT NULL BEGIN
    INSERT INTO session_events_search (session_events_search, rowid, text) VALUES ('delete', old.event_id, old.text);
END
""",
)
