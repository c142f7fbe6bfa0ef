"""Alert rules, how each alert stands, its history, what notifiers were told, and what rules count."""

from typing import Final

from sqlalchemy import Index, Table, UniqueConstraint

from storage.tables.base import integer, metadata, real, text

alert_rules: Final = Table(
    "alert_rules",
    metadata,
    text("rule", primary_key=True),
    real("warning"),
    real("critical"),
    real("window_s"),
    real("cooldown_s"),
    real("resolve_after_s"),
    integer("updated_at"),
    sqlite_strict=True,
)

alert_state: Final = Table(
    "alert_state",
    metadata,
    text("rule", primary_key=True),
    text("severity"),
    text("lifecycle_state"),
    real("value", nullable=True),
    integer("since"),
    integer("evaluated_at", nullable=True),
    integer("below_critical_since", nullable=True),
    integer("below_warning_since", nullable=True),
    text("acknowledged_by", nullable=True),
    integer("acknowledged_at", nullable=True),
    integer("suppressed_until", nullable=True),
    text("suppressed_by", nullable=True),
    text("suppression_reason", nullable=True),
    # What notifiers know, and the last raise that they were told of.
    text("told_severity"),
    text("raised_severity"),
    integer("raised_at", nullable=True),
    integer("version"),
    sqlite_strict=True,
)

alert_transitions: Final = Table(
    "alert_transitions",
    metadata,
    text("transition_id", primary_key=True),
    text("rule"),
    integer("version"),
    text("what"),
    integer("at"),
    text("from_severity"),
    text("from_lifecycle"),
    text("severity"),
    text("lifecycle_state"),
    real("value", nullable=True),
    text("actor", nullable=True),
    text("reason", nullable=True),
    integer("until", nullable=True),
    # What the reading was made of, as JSON.
    text("facts"),
    # A step is taken once, whoever decides on it.
    UniqueConstraint("rule", "version"),
    Index("ix_alert_transitions_at", "at"),
    sqlite_strict=True,
)

alert_notifications: Final = Table(
    "alert_notifications",
    metadata,
    text("transition_id", primary_key=True),
    text("notifier", primary_key=True),
    text("rule"),
    text("action"),
    text("severity"),
    text("state"),
    integer("attempts"),
    text("failure", nullable=True),
    integer("created_at"),
    integer("updated_at"),
    Index("ix_alert_notifications_rule", "rule", "created_at"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

signal_counts: Final = Table(
    "signal_counts",
    metadata,
    text("signal", primary_key=True),
    # Its beginning, in microseconds since the epoch.
    integer("minute", primary_key=True),
    # What tells counts of one minute apart: a class of runtimes, say.
    integer("bucket", primary_key=True),
    integer("occurrences"),
    # What was counted last: an id that a reader can follow.
    text("newest", nullable=True),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
