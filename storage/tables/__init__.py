"""The tables, one module for each subject. ``metadata`` knows them all."""

from storage.tables import (
    alerts,
    content,
    documents,
    jobs,
    journal,
    performance,
    replays,
    search,
    sessions,
    usage,
    work,
)
from storage.tables.base import metadata

__all__ = [
    "alerts",
    "content",
    "documents",
    "jobs",
    "journal",
    "metadata",
    "performance",
    "replays",
    "search",
    "sessions",
    "usage",
    "work",
]
