"""Usage records and what is summed up from them in the same transaction."""

from typing import Final

from sqlalchemy import Column, Index, Table

from storage.tables.base import integer, metadata, serial, text

session_usage: Final = Table(
    "session_usage",
    metadata,
    serial("usage_id"),
    text("message_id"),
    text("session_id"),
    text("agent"),
    text("model"),
    integer("at"),
    text("status"),
    integer("input_tokens", nullable=True),
    integer("output_tokens", nullable=True),
    integer("runtime_ms", nullable=True),
    # The figure that counts: what the provider reported, else what was derived.
    integer("cost_usd_micros", nullable=True),
    # What the price list says, beside a reported cost too; with the unit prices it came from.
    integer("computed_cost_usd_micros", nullable=True),
    text("pricing_version", nullable=True),
    integer("input_price_usd_micros_per_mtok", nullable=True),
    integer("output_price_usd_micros_per_mtok", nullable=True),
    text("computed_pricing_version", nullable=True),
    text("tokens_source"),
    text("tokens_confidence"),
    text("runtime_source"),
    text("runtime_confidence"),
    text("cost_source"),
    text("cost_confidence"),
    text("trace_id"),
    text("producer"),
    integer("created_at"),
    Index("ix_session_usage_at", "at"),
    Index("ix_session_usage_session_id_at", "session_id", "at"),
    Index("ix_session_usage_message_id", "message_id"),
    sqlite_strict=True,
)


def _figures() -> list[Column[int]]:
    """What is summed up of a day's or an hour's usage."""
    return [
        integer("requests"),
        integer("errors"),
        integer("input_tokens"),
        integer("output_tokens"),
        integer("runtime_ms"),
        integer("cost_usd_micros"),
        integer("tokens_reported"),
        integer("tokens_derived"),
        integer("tokens_missing_count"),
        integer("runtime_ms_reported"),
        integer("runtime_ms_derived"),
        integer("runtime_missing_count"),
        integer("cost_usd_micros_reported"),
        integer("cost_usd_micros_derived"),
        integer("cost_missing_count"),
        # Requests whose cost is missing because no price list knew their model.
        integer("unpriced"),
    ]


daily_usage_agg: Final = Table(
    "daily_usage_agg",
    metadata,
    text("day", primary_key=True),
    text("agent", primary_key=True),
    text("model", primary_key=True),
    *_figures(),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

hourly_usage_agg: Final = Table(
    "hourly_usage_agg",
    metadata,
    # Hours since the epoch.
    integer("hour", primary_key=True),
    text("agent", primary_key=True),
    text("model", primary_key=True),
    *_figures(),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

model_perf_agg: Final = Table(
    "model_perf_agg",
    metadata,
    text("day", primary_key=True),
    text("agent", primary_key=True),
    text("model", primary_key=True),
    # A logarithmic class of runtimes (domain.percentiles); -1 where the runtime is missing.
    integer("bucket", primary_key=True),
    integer("requests"),
    integer("errors"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

pricing_versions: Final = Table(
    "pricing_versions",
    metadata,
    text("version", primary_key=True),
    text("source"),
    integer("first_seen_at"),
    sqlite_strict=True,
)
