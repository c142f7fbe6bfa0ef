"""The ledger: one row for each agent session, and its events."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, literal_column, or_, select, tuple_

from domain.ledger.changes import SessionChange
from domain.ledger.ledger import TERMINAL
from storage.engine.batches import UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.nul_text import from_stored, to_stored
from storage.engine.upserts import adding, larger, saturated, smaller
from storage.ledger.search import TERMS, are_common, says, search_terms, terms_parameter
from storage.tables.sessions import session_events, session_ledger


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """An event of a session as it is stored: ``data`` is canonical JSON text; times in microseconds since the epoch."""

    message_id: str
    session_id: str
    agent: str
    type: str
    at: int
    model: str | None
    text: str | None
    data: str | None
    trace_id: str
    producer: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session with its totals, as the ledger keeps it."""

    session_id: str
    agent: str
    model: str | None
    status: str
    started_at: int
    last_at: int
    events: int
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd_micros: int
    tokens_derived: int
    tokens_missing_count: int
    cost_usd_micros_derived: int
    cost_missing_count: int


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are wanted; what is None is not asked about. ``since`` (inclusive) and ``until`` (exclusive) bound
    the start.

    ``search`` holds plain words: those sessions of which one event's text holds all of them. Case does not matter,
    punctuation separates, and nothing in them is a query's syntax. Without any word nothing is found.
    """

    agent: str | None = None
    model: str | None = None
    status: str | None = None
    since: int | None = None
    until: int | None = None
    search: str | None = None


SessionMark: TypeAlias = tuple[int, str]
"""(started_at, session_id): by what sessions are ordered."""


class LedgerRepository(Protocol):
    """Sessions and their events."""

    def apply(self, changes: Sequence[SessionChange]) -> int:
        """Merge *changes* into the sessions; they come in key order, one for each session.

        How many of the rows have a total that can grow no more.
        """
        ...

    def add_events(self, events: Sequence[SessionEvent]) -> None:
        """Keep events in the order of their arrival."""
        ...

    def get(self, session_id: str) -> Session | None: ...

    def newest_events(self, session_id: str, *, limit: int) -> Sequence[SessionEvent]:
        """The newest events by ``at``, newest first."""
        ...

    def page(self, wanted: SessionFilter, *, before: SessionMark | None, limit: int) -> Sequence[Session]:
        """The newest start first, from the one after *before* on."""
        ...


class SqlLedgerRepository:
    """``session_ledger`` and ``session_events``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def apply(self, changes: Sequence[SessionChange]) -> int:
        if not changes:
            return 0
        batch = as_parameter(changes)
        execute_change(self._connection, _apply(self._dialect), batch)
        return self._connection.execute(_saturated(self._dialect), batch).scalar_one()

    def add_events(self, events: Sequence[SessionEvent]) -> None:
        if events:
            execute_change(
                self._connection, _add_events(self._dialect), as_parameter([_event_row(event) for event in events])
            )

    def get(self, session_id: str) -> Session | None:
        row = self._connection.execute(_GET, {"session_id": session_id}).one_or_none()
        return None if row is None else Session(*row)

    def newest_events(self, session_id: str, *, limit: int) -> Sequence[SessionEvent]:
        rows = self._connection.execute(_NEWEST_EVENTS, {"session_id": session_id, "limit": limit})
        return [event_of(*row) for row in rows]

    def page(self, wanted: SessionFilter, *, before: SessionMark | None, limit: int) -> Sequence[Session]:
        terms = None if wanted.search is None else search_terms(wanted.search)
        if terms is not None and not terms:
            return []
        parameters = {} if terms is None else {TERMS: terms_parameter(self._dialect, terms)}
        common = bool(terms) and self._are_common(wanted, parameters[TERMS])
        statement = _page(self._dialect, wanted, before, common=common).limit(limit)
        return [Session(*row) for row in self._connection.execute(statement, parameters)]

    def _are_common(self, wanted: SessionFilter, terms: str) -> bool:
        """Other filters may pass over most sessions that say the words: then nothing is known of the next one."""
        is_alone = wanted.agent is None and wanted.model is None and wanted.status is None
        return self._dialect == "sqlite" and is_alone and are_common(self._connection, terms)


EVENT_COLUMNS: Final = (
    "message_id", "session_id", "agent", "type", "at", "model", "text", "data", "trace_id", "producer", "created_at",
)  # fmt: skip
_SUMS: Final = (
    "events", "requests", "errors", "input_tokens", "output_tokens", "cost_usd_micros", "tokens_derived",
    "tokens_missing_count", "cost_usd_micros_derived", "cost_missing_count",
)  # fmt: skip
_SESSION_COLUMNS: Final = (
    "session_id", "agent", "model", "status", "started_at", "last_at", "events", "requests", "errors", "input_tokens",
    "output_tokens", "cost_usd_micros", "tokens_derived", "tokens_missing_count", "cost_usd_micros_derived",
    "cost_missing_count",
)  # fmt: skip


def _event_row(event: SessionEvent) -> tuple[str | int | None, ...]:
    text = None if event.text is None else to_stored(event.text)
    return (
        event.message_id, event.session_id, event.agent, event.type, event.at, event.model, text, event.data,
        event.trace_id, event.producer, event.created_at,
    )  # fmt: skip


def event_of(
    message_id: str, session_id: str, agent: str, type: str, at: int, model: str | None, text: str | None,  # noqa: A002
    data: str | None, trace_id: str, producer: str, created_at: int,
) -> SessionEvent:  # fmt: skip
    plain = None if text is None else from_stored(text)
    return SessionEvent(message_id, session_id, agent, type, at, model, plain, data, trace_id, producer, created_at)


_SESSION: Final = tuple(session_ledger.c[name] for name in _SESSION_COLUMNS)
_GET: Final = select(*_SESSION).where(session_ledger.c.session_id == bindparam("session_id"))
_NEWEST_EVENTS: Final = (
    select(*(session_events.c[name] for name in EVENT_COLUMNS))
    .where(session_events.c.session_id == bindparam("session_id"))
    .order_by(session_events.c.at.desc(), session_events.c.event_id.desc())
    .limit(bindparam("limit"))
)


def _page(dialect: str, wanted: SessionFilter, before: SessionMark | None, *, common: bool) -> Select[*tuple[Any, ...]]:
    ledger = session_ledger.c
    statement = select(*_SESSION).order_by(ledger.started_at.desc(), ledger.session_id.desc())
    for column, value in ((ledger.agent, wanted.agent), (ledger.model, wanted.model), (ledger.status, wanted.status)):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.since is not None:
        statement = statement.where(ledger.started_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(ledger.started_at < wanted.until)
    if before is not None:
        statement = statement.where(tuple_(ledger.started_at, ledger.session_id) < tuple_(*before))
    if wanted.search is not None:
        statement = statement.where(says(dialect, ledger.session_id, common=common))
    return statement


@cache
def _add_events(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, session_events, EVENT_COLUMNS)


@cache
def _apply(dialect: str) -> UpsertInsert:
    """Both changes of one session as one, with the stored row as the earlier change (tests: ``merge_sessions``)."""
    old = session_ledger.c
    return adding(
        dialect,
        session_ledger,
        SessionChange._fields,
        sums=_SUMS,
        others={
            "agent": lambda new: case((_is_newer_agent(new), new.excluded.agent), else_=old.agent),
            "model": lambda new: case((_names_newer_model(new), new.excluded.model), else_=old.model),
            "model_at": lambda new: case((_names_newer_model(new), new.excluded.model_at), else_=old.model_at),
            "status": lambda new: case((_tells_newer_status(new), new.excluded.status), else_=old.status),
            "status_at": lambda new: case((_tells_newer_status(new), new.excluded.status_at), else_=old.status_at),
            "started_at": lambda new: smaller(old.started_at, new.excluded.started_at),
            "last_at": lambda new: larger(old.last_at, new.excluded.last_at),
        },
    )


@cache
def _saturated(dialect: str) -> Select[int]:
    return saturated(dialect, session_ledger, _SUMS)


def _is_newer_agent(new: UpsertInsert) -> ColumnElement[bool]:
    old, other = session_ledger.c, new.excluded
    return or_(other.last_at > old.last_at, and_(other.last_at == old.last_at, other.agent > old.agent))


def _names_newer_model(new: UpsertInsert) -> ColumnElement[bool]:
    old, other = session_ledger.c, new.excluded
    return and_(
        other.model_at.is_not(None),
        or_(
            old.model_at.is_(None),
            other.model_at > old.model_at,
            and_(other.model_at == old.model_at, other.model > old.model),
        ),
    )


def _tells_newer_status(new: UpsertInsert) -> ColumnElement[bool]:
    old, other = session_ledger.c, new.excluded
    # Not as parameters: those of a list are expanded anew at each execution.
    terminal: list[ColumnElement[str]] = [literal_column(f"'{status}'") for status in sorted(TERMINAL)]
    return and_(
        other.status_at.is_not(None),
        or_(
            old.status_at.is_(None),
            other.status_at > old.status_at,
            and_(
                other.status_at == old.status_at,
                or_(other.status.in_(terminal), old.status.not_in(terminal)),
            ),
        ),
    )
