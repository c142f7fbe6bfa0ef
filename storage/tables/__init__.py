"""The tables, one module for each subject. ``metadata`` knows them all."""

from storage.tables import journal, sessions, usage
from storage.tables.base import metadata

__all__ = ["journal", "metadata", "sessions", "usage"]
