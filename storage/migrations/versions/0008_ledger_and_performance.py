"""What the ledger, analytics and the performance of posts are read from."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL: Final[sa.types.TypeEngine[float]] = sa.Double().with_variant(sa.REAL(), "sqlite")

_PROVENANCE: Final = ("tokens_derived", "tokens_missing_count", "cost_usd_micros_derived", "cost_missing_count")
_FIGURES: Final = (
    *("requests", "errors", "input_tokens", "output_tokens", "runtime_ms", "cost_usd_micros"),
    *("tokens_reported", "tokens_derived", "tokens_missing_count"),
    *("runtime_ms_reported", "runtime_ms_derived", "runtime_missing_count"),
    *("cost_usd_micros_reported", "cost_usd_micros_derived", "cost_missing_count", "unpriced"),
)
_METRICS: Final = ("impressions", "reach", "likes", "comments", "saves", "shares", "views")
_LEDGER_INDEXES: Final = (
    ("ix_session_ledger_agent", ["agent"]),
    ("ix_session_ledger_model", ["model"]),
    ("ix_session_ledger_status", ["status"]),
)
_LEDGER_PAIRS: Final = (
    ("ix_session_ledger_agent_model", ["agent", "model"]),
    ("ix_session_ledger_agent_status", ["agent", "status"]),
    ("ix_session_ledger_model_status", ["model", "status"]),
)


_CONTENT_INDEXES: Final = (
    ("ix_feed_items_status_published_at", "feed_items", ["status", "published_at"], "item_id"),
    ("ix_publications_status_publish_at", "publications", ["status", "publish_at"], "post_id"),
)
"""The last column settles the order of what is of one instant."""


def upgrade() -> None:
    _add_provenance()
    _create_hourly_usage_agg()
    _create_performance()
    for name, columns in (*_LEDGER_INDEXES, *_LEDGER_PAIRS):
        if len(columns) == 1:
            op.drop_index(name, "session_ledger")
        op.create_index(name, "session_ledger", [*columns, "started_at", "session_id"])
    for name, table, columns, key in _CONTENT_INDEXES:
        op.drop_index(name, table)
        op.create_index(name, table, [*columns, key])
    op.add_column("feed_items", sa.Column("version", _INTEGER, server_default="1", nullable=False))
    op.add_column("publications", sa.Column("version", _INTEGER, server_default="1", nullable=False))
    for name, kind in (("cancelled_by", _TEXT), ("cancelled_at", _INTEGER), ("cancel_reason", _TEXT)):
        op.add_column("publications", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in ("cancelled_by", "cancelled_at", "cancel_reason", "version"):
        op.drop_column("publications", name)
    op.drop_column("feed_items", "version")
    for name, table, columns, _ in _CONTENT_INDEXES:
        op.drop_index(name, table)
        op.create_index(name, table, columns)
    for name, columns in (*_LEDGER_INDEXES, *_LEDGER_PAIRS):
        op.drop_index(name, "session_ledger")
        if len(columns) == 1:
            op.create_index(name, "session_ledger", [*columns, "started_at"])
    for table in ("post_performance_daily", "post_performance", "post_measurements", "hourly_usage_agg"):
        op.drop_table(table)
    for name in _PROVENANCE:
        op.drop_column("session_ledger", name)


def _add_provenance() -> None:
    """A session's figures by where they come from; what is reported is the rest."""
    for name in _PROVENANCE:
        op.add_column("session_ledger", sa.Column(name, _INTEGER, server_default="0", nullable=False))
    op.execute("""
UPDATE session_ledger SET
    tokens_derived = known.tokens_derived, tokens_missing_count = known.tokens_missing_count,
    cost_usd_micros_derived = known.cost_usd_micros_derived, cost_missing_count = known.cost_missing_count
FROM (
    SELECT session_id,
        CAST(sum(CASE WHEN tokens_source = 'derived' THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
            ELSE 0 END) AS bigint) AS tokens_derived,
        count(CASE WHEN tokens_source = 'missing' THEN 1 END) AS tokens_missing_count,
        CAST(sum(CASE WHEN cost_source = 'derived' THEN coalesce(cost_usd_micros, 0) ELSE 0 END) AS bigint)
            AS cost_usd_micros_derived,
        count(CASE WHEN cost_usd_micros IS NULL THEN 1 END) AS cost_missing_count
    FROM session_usage GROUP BY session_id
) AS known WHERE known.session_id = session_ledger.session_id
""")


def _create_hourly_usage_agg() -> None:
    op.create_table(
        "hourly_usage_agg",
        sa.Column("hour", _INTEGER, nullable=False),
        sa.Column("agent", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=False),
        *(sa.Column(name, _INTEGER, nullable=False) for name in _FIGURES),
        sa.PrimaryKeyConstraint("hour", "agent", "model", name=op.f("pk_hourly_usage_agg")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(_HOURS_SO_FAR)


# The hour of a time before 1970 rounds down, as Python's division does.
_HOURS_SO_FAR: Final = """
INSERT INTO hourly_usage_agg (
    hour, agent, model, requests, errors, input_tokens, output_tokens, runtime_ms, cost_usd_micros, tokens_reported,
    tokens_derived, tokens_missing_count, runtime_ms_reported, runtime_ms_derived, runtime_missing_count,
    cost_usd_micros_reported, cost_usd_micros_derived, cost_missing_count, unpriced
)
SELECT (at - ((at % 3600000000) + 3600000000) % 3600000000) / 3600000000, agent, model, count(*),
    count(CASE WHEN status = 'error' THEN 1 END),
    sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)), sum(coalesce(runtime_ms, 0)),
    sum(coalesce(cost_usd_micros, 0)),
    sum(CASE WHEN tokens_source = 'provider_reported' THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
        ELSE 0 END),
    sum(CASE WHEN tokens_source = 'derived' THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0) ELSE 0 END),
    count(CASE WHEN tokens_source = 'missing' THEN 1 END),
    sum(CASE WHEN runtime_source <> 'derived' THEN coalesce(runtime_ms, 0) ELSE 0 END),
    sum(CASE WHEN runtime_source = 'derived' THEN coalesce(runtime_ms, 0) ELSE 0 END),
    count(CASE WHEN runtime_ms IS NULL THEN 1 END),
    sum(CASE WHEN cost_source <> 'derived' THEN coalesce(cost_usd_micros, 0) ELSE 0 END),
    sum(CASE WHEN cost_source = 'derived' THEN coalesce(cost_usd_micros, 0) ELSE 0 END),
    count(CASE WHEN cost_usd_micros IS NULL THEN 1 END),
    count(CASE WHEN cost_usd_micros IS NULL AND input_price_usd_micros_per_mtok IS NULL
        AND (input_tokens IS NOT NULL OR output_tokens IS NOT NULL) THEN 1 END)
FROM session_usage GROUP BY 1, 2, 3
"""


def _create_performance() -> None:
    """Every measurement of a post, the latest of each post, and the latest of each post on each day."""
    op.create_table(
        "post_measurements",
        sa.Column("measurement_id", _INTEGER, autoincrement=True, nullable=False),
        *_measured(),
        sa.PrimaryKeyConstraint("measurement_id", name=op.f("pk_post_measurements")),
        sqlite_strict=True,
    )
    op.create_index("ix_post_measurements_post_id", "post_measurements", ["post_id", "at"])
    op.create_table(
        "post_performance",
        *_measured(),
        sa.PrimaryKeyConstraint("post_id", name=op.f("pk_post_performance")),
        sqlite_strict=True,
    )
    op.create_table(
        "post_performance_daily",
        sa.Column("day", _TEXT, nullable=False),
        *_measured(),
        sa.PrimaryKeyConstraint("day", "post_id", name=op.f("pk_post_performance_daily")),
        sqlite_strict=True,
    )


def _measured() -> list[sa.Column[Any]]:
    return [
        sa.Column("post_id", _TEXT, nullable=False),
        sa.Column("platform", _TEXT, nullable=False),
        sa.Column("at", _INTEGER, nullable=False),
        *(sa.Column(name, _INTEGER, nullable=False) for name in _METRICS),
        sa.Column("watch_through", _REAL, nullable=False),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("trace_id", _TEXT, nullable=False),
        sa.Column("producer", _TEXT, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
    ]
