"""Full text of what sessions said: made after its table, in each database's own words.

Words are what stands between characters that are neither letters nor digits, case and nothing else folded. The parser
of PostgreSQL would keep host names, paths and numbers with a sign together, so ASCII punctuation becomes blanks first.
"""

from typing import Final

from sqlalchemy import DDL, event

from storage.tables.sessions import session_events

_POSTGRES: Final = (
    r"""
CREATE INDEX ix_session_events_text ON session_events USING gin (
    to_tsvector(
        'simple',
        translate(
            text,
            E'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~',
            '                                '
        )
    )
) WHERE text IS NOT NULL
""",
)

# The words lie in the index alone (external content), which follows the rows by triggers.
_SQLITE: Final = (
    """
CREATE VIRTUAL TABLE session_events_search USING fts5(
    text,
    content='session_events',
    content_rowid='event_id',
    tokenize="unicode61 remove_diacritics 0 categories 'L* N*'"
)
""",
    """
CREATE TRIGGER session_events_search_insert AFTER INSERT ON session_events WHEN new.text IS NOT NULL BEGIN
    INSERT INTO session_events_search (rowid, text) VALUES (new.event_id, new.text);
END
""",
    """
CREATE TRIGGER session_events_search_delete AFTER DELETE ON session_events WHEN old.text IS NOT NULL BEGIN
    INSERT INTO session_events_search (session_events_search, rowid, text) VALUES ('delete', old.event_id, old.text);
END
""",
)

for _dialect, _statements in (("postgresql", _POSTGRES), ("sqlite", _SQLITE)):
    for _statement in _statements:
        _made = DDL(_statement.replace("%", "%%")).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]  # of SQLAlchemy
        event.listen(session_events, "after_create", _made)
