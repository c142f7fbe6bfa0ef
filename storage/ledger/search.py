"""Full text search of what sessions said, by plain words.

SQLite has an FTS5 table beside ``session_events``, PostgreSQL a GIN index over ``to_tsvector``; the migration says how
they are kept. Both find an event whose text holds every word, in any order. Only what the migration's index is made
of may stand in the statement, character by character, or PostgreSQL reads the whole table instead.
"""

import string
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, column, func, literal_column, select, table

from storage.tables.sessions import session_events

TERMS: Final = "terms"
"""The name of the parameter of a statement that holds :func:`says`."""

_SEPARATORS: Final = str.maketrans(dict.fromkeys(string.punctuation + "\0\x1a\x01\x02", " "))
_FTS: Final = table("session_events_search", column("rowid"))
_DOCUMENT: Final = """to_tsvector('simple', translate(session_events.text,
    E'!"#$%&\\'()*+,-./:;<=>?@[\\\\]^_`{|}~', '                                '))"""


def search_terms(words: str) -> Sequence[str]:
    """The words of what a person typed."""
    return words.translate(_SEPARATORS).split()


def terms_parameter(dialect: str, terms: Sequence[str]) -> str:
    """The value of :data:`TERMS`. Quoted, ``NOT`` and ``NEAR`` are words to FTS5 and no operators."""
    if dialect == "sqlite":
        return " ".join(f'"{term}"' for term in terms)
    return " ".join(terms)


def says(dialect: str, session_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the session has an event whose text holds all terms."""
    if dialect == "sqlite":
        matches = literal_column("session_events_search").op("MATCH")(bindparam(TERMS))
        found = select(session_events.c.session_id).join(_FTS, _FTS.c.rowid == session_events.c.event_id)
        return session_id.in_(found.where(matches))
    query: ColumnElement[Any] = func.plainto_tsquery(literal_column("'simple'"), bindparam(TERMS))
    matches = literal_column(_DOCUMENT).op("@@")(query)
    return session_id.in_(select(session_events.c.session_id).where(session_events.c.text.is_not(None), matches))
