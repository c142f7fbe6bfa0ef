"""The tables, one module for each subject. ``metadata`` knows them all."""

from storage.tables import content, journal, sessions, usage, work
from storage.tables.base import metadata

__all__ = ["content", "journal", "metadata", "sessions", "usage", "work"]
