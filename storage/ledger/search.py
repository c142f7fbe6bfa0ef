"""Full text search of what sessions said, by plain words.

SQLite has an FTS5 table beside ``session_events``, PostgreSQL a GIN index over ``to_tsvector``; the migration says how
they are kept. Both find an event whose text holds every word, in any order. Only what the migration's index is made
of may stand in the statement, character by character, or PostgreSQL reads the whole table instead.
"""

import string
from collections.abc import Sequence
from math import isqrt
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, column, func, literal_column, select, table

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


def says(dialect: str, session_id: ColumnElement[str], *, common: bool = False) -> ColumnElement[bool]:
    """Whether the session has an event whose text holds all terms.

    Where the words are *common* (:func:`are_common`), SQLite looks at one session after the other until a page is full,
    instead of at every event that says them.
    """
    if dialect == "sqlite":
        event_id, of_session = session_events.c.event_id, session_events.c.session_id
        if common:
            said = select(_FTS.c.rowid).where(_MATCHES, _FTS.c.rowid == event_id).exists()
            return select(event_id).where(of_session == session_id, said).exists()
        return session_id.in_(select(of_session).join(_FTS, _FTS.c.rowid == event_id).where(_MATCHES))
    query: ColumnElement[Any] = func.plainto_tsquery(literal_column("'simple'"), bindparam(TERMS))
    matches = literal_column(_DOCUMENT).op("@@")(query)
    return session_id.in_(select(session_events.c.session_id).where(session_events.c.text.is_not(None), matches))


def are_common(connection: Connection, terms: str) -> bool:
    """Whether so many events on SQLite say all terms that a page of sessions fills up sooner one by one.

    To collect all matches costs half a microsecond each, to probe an event for its match up to 90; with *m* matches
    among *n* events a page of fifty takes about *50 n / m* probes. Both cost the same at *m = sqrt(9000 n)*.
    """
    events = connection.execute(_NEWEST_EVENT).scalar_one() or 0
    most = isqrt(_PROBE_FACTOR * events)
    return connection.execute(_SOME_MATCHES, {TERMS: terms, "most": most}).scalar_one() >= most > 0


_PROBE_FACTOR: Final = 9_000
_MATCHES: Final = literal_column("session_events_search").op("MATCH")(bindparam(TERMS))
_NEWEST_EVENT: Final[Select[int | None]] = select(func.max(session_events.c.event_id))
_SOME_MATCHES: Final[Select[int]] = select(func.count()).select_from(
    select(_FTS.c.rowid).where(_MATCHES).limit(bindparam("most")).subquery()
)
