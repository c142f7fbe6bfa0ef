"""Agents, as ``session_ledger`` and ``session_events`` show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, Select, bindparam, func, select

from storage.ledger.ledger import EVENT_COLUMNS, SessionEvent, event_of
from storage.tables.sessions import session_events, session_ledger


class SeenAgent(NamedTuple):
    """An agent by its newest session. Times are microseconds since the epoch."""

    agent: str
    session_id: str
    model: str | None
    status: str
    last_at: int


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which events are meant; None says nothing."""

    agent: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    type: str | None = None


class AgentRepository(Protocol):
    """What sessions tell of agents."""

    def seen(self, *, limit: int) -> Sequence[SeenAgent]:
        """Every agent with its newest session, by name; at most *limit* of them."""
        ...

    def newest_events(self, wanted: LogFilter, *, limit: int) -> Sequence[SessionEvent]:
        """Events by ``at``, newest first. Those of an agent are looked for in its newest sessions, and those that no
        session, trace or agent is named for among the last that arrived."""
        ...

    def has_event(self, message_id: str, session_id: str) -> bool:
        """Whether a session.event was stored."""
        ...


_NEWEST_SESSIONS: Final = 100
"""Of an agent, in which its events are looked for: there is no index over the events of agents, which every event
would have to pay for."""
_NEWEST_ARRIVALS: Final = 10_000
"""What is looked through where nothing is named that an index serves."""


class SqlAgentRepository:
    """Reads what sessions wrote."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def seen(self, *, limit: int) -> Sequence[SeenAgent]:
        return [SeenAgent(*row) for row in self._connection.execute(_SEEN, {"limit": limit})]

    def newest_events(self, wanted: LogFilter, *, limit: int) -> Sequence[SessionEvent]:
        return [event_of(*row) for row in self._connection.execute(_events(wanted).limit(limit))]

    def has_event(self, message_id: str, session_id: str) -> bool:
        asked = {"of_message": message_id, "of_session": session_id}
        return self._connection.execute(_HAS_EVENT, asked).first() is not None


def _seen() -> Select[*tuple[Any, ...]]:
    """From agent to agent along the index (agent, started_at), and of each the newest session: as many steps as there
    are agents, however many sessions they had."""
    ledger = session_ledger.c
    first = select(func.min(ledger.agent).label("agent")).cte("agents", recursive=True)
    following = select(func.min(ledger.agent)).where(ledger.agent > first.c.agent).scalar_subquery()
    agents = first.union_all(select(following).where(first.c.agent.is_not(None)))
    inner = session_ledger.alias("newest")
    newest = (
        select(inner.c.session_id)
        .where(inner.c.agent == agents.c.agent)
        .order_by(inner.c.started_at.desc(), inner.c.session_id.desc())
        .limit(1)
        .correlate(agents)
        .scalar_subquery()
    )
    return (
        select(ledger.agent, ledger.session_id, ledger.model, ledger.status, ledger.last_at)
        .select_from(agents)
        .join(session_ledger, ledger.session_id == newest)
        .where(agents.c.agent.is_not(None))
        .order_by(ledger.agent)
        .limit(bindparam("limit"))
    )


def _events(wanted: LogFilter) -> Select[*tuple[Any, ...]]:
    events = session_events.c
    statement = select(*(events[name] for name in EVENT_COLUMNS)).order_by(events.at.desc(), events.event_id.desc())
    if wanted.session_id is not None:
        statement = statement.where(events.session_id == wanted.session_id)
    if wanted.trace_id is not None:
        statement = statement.where(events.trace_id == wanted.trace_id)
    if wanted.type is not None:
        statement = statement.where(events.type == wanted.type)
    if wanted.agent is not None:
        statement = statement.where(events.agent == wanted.agent)
    if wanted.session_id is not None or wanted.trace_id is not None:
        return statement
    if wanted.agent is not None:
        ledger = session_ledger.c
        sessions = select(ledger.session_id).where(ledger.agent == wanted.agent)
        newest = sessions.order_by(ledger.started_at.desc()).limit(_NEWEST_SESSIONS).subquery()
        return statement.where(events.session_id.in_(select(newest.c.session_id)))
    last = select(func.max(events.event_id)).scalar_subquery()
    return statement.where(events.event_id > last - _NEWEST_ARRIVALS)


_SEEN: Final = _seen()
_HAS_EVENT: Final = select(session_events.c.event_id).where(
    session_events.c.message_id == bindparam("of_message"), session_events.c.session_id == bindparam("of_session")
)
