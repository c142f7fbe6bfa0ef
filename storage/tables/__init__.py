"""The tables, one module for each subject. ``metadata`` knows them all."""

from storage.tables import content, jobs, journal, replays, sessions, usage, work
from storage.tables.base import metadata

__all__ = ["content", "jobs", "journal", "metadata", "replays", "sessions", "usage", "work"]
