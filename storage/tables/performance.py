"""How posts do: every measurement, the latest of each post, and the latest of each post on each day (UTC)."""

from typing import Any, Final

from sqlalchemy import Column, Index, Table

from storage.tables.base import integer, metadata, real, serial, text


def _measured(*, keyed: bool) -> list[Column[Any]]:
    return [
        text("post_id", primary_key=keyed),
        text("platform"),
        integer("at"),
        integer("impressions"),
        integer("reach"),
        integer("likes"),
        integer("comments"),
        integer("saves"),
        integer("shares"),
        integer("views"),
        real("watch_through"),
        text("message_id"),
        text("trace_id"),
        text("producer"),
        integer("created_at"),
    ]


post_measurements: Final = Table(
    "post_measurements",
    metadata,
    serial("measurement_id"),
    *_measured(keyed=False),
    Index("ix_post_measurements_post_id", "post_id", "at"),
    sqlite_strict=True,
)

post_performance: Final = Table("post_performance", metadata, *_measured(keyed=True), sqlite_strict=True)

post_performance_daily: Final = Table(
    "post_performance_daily",
    metadata,
    text("day", primary_key=True),
    *_measured(keyed=True),
    sqlite_strict=True,
)
