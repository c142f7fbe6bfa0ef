"""What handlers may ask about agents. They know these protocols, never the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from storage.ledger.ports import SessionEvent


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
