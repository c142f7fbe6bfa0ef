"""What handlers may ask of the repositories. They know these protocols, never the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.ledger import DailyTotals, PerformanceCount, SessionChange
from domain.usage import UsageRecord


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


class LedgerRepository(Protocol):
    """Sessions and their events."""

    def apply(self, changes: Sequence[SessionChange]) -> None:
        """Merge *changes* into the sessions; they come in key order, one for each session."""
        ...

    def add_events(self, events: Sequence[SessionEvent]) -> None:
        """Keep events in the order of their arrival."""
        ...

    def get(self, session_id: str) -> Session | None: ...

    def newest_events(self, session_id: str, *, limit: int) -> Sequence[SessionEvent]:
        """The newest events by ``at``, newest first."""
        ...

    def search_sessions(self, words: str, *, limit: int) -> Sequence[Session]:
        """The sessions of which one event's text holds all of *words*, the newest start first.

        *words* are plain: case does not matter, punctuation separates, and nothing in them is a query's syntax. Without
        any word nothing is found.
        """
        ...


class UsageRepository(Protocol):
    """Usage records and their daily totals."""

    def add(self, records: Sequence[UsageRecord]) -> None: ...

    def add_to_days(self, totals: Sequence[DailyTotals]) -> None:
        """Add *totals* to their days; they come in key order, one for each day, agent and model."""
        ...

    def days(self) -> Mapping[tuple[str, str, str], DailyTotals]:
        """All daily totals by (day, agent, model)."""
        ...


class PerformanceRepository(Protocol):
    """Counts of requests by class of runtime."""

    def add(self, counts: Sequence[PerformanceCount]) -> None:
        """Add *counts*; they come in key order, one for each key."""
        ...
