"""Agent sessions: what they are, what they said, what they cost in total."""

from typing import Final

from sqlalchemy import Index, Table

from storage.tables.base import integer, metadata, serial, text

session_ledger: Final = Table(
    "session_ledger",
    metadata,
    text("session_id", primary_key=True),
    text("agent"),
    text("model", nullable=True),
    text("status"),
    integer("status_at", nullable=True),
    integer("model_at", nullable=True),
    integer("started_at"),
    integer("last_at"),
    integer("events", default="0"),
    integer("requests", default="0"),
    integer("errors", default="0"),
    integer("input_tokens", default="0"),
    integer("output_tokens", default="0"),
    integer("cost_usd_micros", default="0"),
    # What of these is not reported: of tokens as input + output. What is missing is counted in requests.
    integer("tokens_derived", default="0"),
    integer("tokens_missing_count", default="0"),
    integer("cost_usd_micros_derived", default="0"),
    integer("cost_missing_count", default="0"),
    Index("ix_session_ledger_started_at", "started_at", "session_id"),
    # Each filter alone and each pair of filters, in the order of the list, so that a page reads what it answers.
    Index("ix_session_ledger_agent", "agent", "started_at", "session_id"),
    Index("ix_session_ledger_model", "model", "started_at", "session_id"),
    Index("ix_session_ledger_status", "status", "started_at", "session_id"),
    Index("ix_session_ledger_agent_model", "agent", "model", "started_at", "session_id"),
    Index("ix_session_ledger_agent_status", "agent", "status", "started_at", "session_id"),
    Index("ix_session_ledger_model_status", "model", "status", "started_at", "session_id"),
    sqlite_strict=True,
)

session_events: Final = Table(
    "session_events",
    metadata,
    serial("event_id"),
    text("message_id"),
    text("session_id"),
    text("agent"),
    text("type"),
    integer("at"),
    text("model", nullable=True),
    text("text", nullable=True),
    text("data", nullable=True),
    text("trace_id"),
    text("producer"),
    integer("created_at"),
    Index("ix_session_events_session_id_at", "session_id", "at"),
    Index("ix_session_events_trace_id", "trace_id"),
    Index("ix_session_events_message_id", "message_id"),
    sqlite_strict=True,
)
