"""The tables, one module for each subject. ``metadata`` knows them all."""

from storage.tables import alerts, content, jobs, journal, performance, replays, sessions, usage, work
from storage.tables.base import metadata

__all__ = ["alerts", "content", "jobs", "journal", "metadata", "performance", "replays", "sessions", "usage", "work"]
