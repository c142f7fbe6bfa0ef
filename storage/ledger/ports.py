"""What handlers may ask of the repositories. They know these protocols, never the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from domain.ledger.changes import DailyTotals, HourlyTotals, PerformanceCount, SessionChange
from domain.ledger.usage import UsageRecord


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


class UsageRepository(Protocol):
    """Usage records and their totals."""

    def add(self, records: Sequence[UsageRecord]) -> None: ...

    def add_to_days(self, totals: Sequence[DailyTotals]) -> int:
        """Add *totals* to their days; they come in key order, one for each day, agent and model.

        How many of the rows have a total that can grow no more.
        """
        ...

    def add_to_hours(self, totals: Sequence[HourlyTotals]) -> int:
        """Add *totals* to their hours; they come in key order, one for each hour, agent and model.

        How many of the rows have a total that can grow no more.
        """
        ...

    def hours(self) -> Mapping[tuple[int, str, str], HourlyTotals]:
        """All hourly totals by (hour, agent, model)."""
        ...

    def days(self) -> Mapping[tuple[str, str, str], DailyTotals]:
        """All daily totals by (day, agent, model)."""
        ...


class PerformanceRepository(Protocol):
    """Counts of requests by class of runtime."""

    def add(self, counts: Sequence[PerformanceCount]) -> None:
        """Add *counts*; they come in key order, one for each key."""
        ...
