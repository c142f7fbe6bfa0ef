"""Alert rules, their state and history, what notifiers were told, and what rules count."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    _create_rules_and_state()
    _create_history()
    op.create_table(
        "signal_counts",
        sa.Column("signal", _TEXT, nullable=False),
        sa.Column("minute", _INTEGER, nullable=False),
        sa.Column("bucket", _INTEGER, nullable=False),
        sa.Column("occurrences", _INTEGER, nullable=False),
        sa.Column("newest", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("signal", "minute", "bucket", name=op.f("pk_signal_counts")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("signal_counts", "alert_notifications", "alert_transitions", "alert_state", "alert_rules"):
        op.drop_table(table)


def _create_rules_and_state() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("rule", _TEXT, nullable=False),
        sa.Column("warning", _REAL, nullable=False),
        sa.Column("critical", _REAL, nullable=False),
        sa.Column("window_s", _REAL, nullable=False),
        sa.Column("cooldown_s", _REAL, nullable=False),
        sa.Column("resolve_after_s", _REAL, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_alert_rules")),
        sqlite_strict=True,
    )
    op.create_table(
        "alert_state",
        sa.Column("rule", _TEXT, nullable=False),
        sa.Column("severity", _TEXT, nullable=False),
        sa.Column("lifecycle_state", _TEXT, nullable=False),
        sa.Column("value", _REAL, nullable=True),
        sa.Column("since", _INTEGER, nullable=False),
        sa.Column("evaluated_at", _INTEGER, nullable=True),
        sa.Column("below_critical_since", _INTEGER, nullable=True),
        sa.Column("below_warning_since", _INTEGER, nullable=True),
        sa.Column("acknowledged_by", _TEXT, nullable=True),
        sa.Column("acknowledged_at", _INTEGER, nullable=True),
        sa.Column("suppressed_until", _INTEGER, nullable=True),
        sa.Column("suppressed_by", _TEXT, nullable=True),
        sa.Column("suppression_reason", _TEXT, nullable=True),
        sa.Column("told_severity", _TEXT, nullable=False),
        sa.Column("raised_severity", _TEXT, nullable=False),
        sa.Column("raised_at", _INTEGER, nullable=True),
        sa.Column("version", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_alert_state")),
        sqlite_strict=True,
    )


def _create_history() -> None:
    op.create_table(
        "alert_transitions",
        sa.Column("transition_id", _TEXT, nullable=False),
        sa.Column("rule", _TEXT, nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("what", _TEXT, nullable=False),
        sa.Column("at", _INTEGER, nullable=False),
        sa.Column("from_severity", _TEXT, nullable=False),
        sa.Column("from_lifecycle", _TEXT, nullable=False),
        sa.Column("severity", _TEXT, nullable=False),
        sa.Column("lifecycle_state", _TEXT, nullable=False),
        sa.Column("value", _REAL, nullable=True),
        sa.Column("actor", _TEXT, nullable=True),
        sa.Column("reason", _TEXT, nullable=True),
        sa.Column("until", _INTEGER, nullable=True),
        sa.Column("facts", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("transition_id", name=op.f("pk_alert_transitions")),
        sa.UniqueConstraint("rule", "version", name=op.f("uq_alert_transitions_rule_version")),
        sqlite_strict=True,
    )
    op.create_index("ix_alert_transitions_at", "alert_transitions", ["at"])
    op.create_table(
        "alert_notifications",
        sa.Column("transition_id", _TEXT, nullable=False),
        sa.Column("notifier", _TEXT, nullable=False),
        sa.Column("rule", _TEXT, nullable=False),
        sa.Column("action", _TEXT, nullable=False),
        sa.Column("severity", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("attempts", _INTEGER, nullable=False),
        sa.Column("failure", _TEXT, nullable=True),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("updated_at", _INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("transition_id", "notifier", name=op.f("pk_alert_notifications")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_alert_notifications_rule", "alert_notifications", ["rule", "created_at"])
