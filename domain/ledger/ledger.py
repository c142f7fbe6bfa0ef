"""What a group of events and usage records changes: sessions, days, and the performance of models.

A group is folded into one change for each session, each day and each class of runtime, so that a batch of a thousand
messages touches each row once. Changes are sums, minima, maxima and newest values. They can be merged in any grouping
and in any order, and the stored rows take them in by the same rules:

- sums add; ``started_at`` takes the smaller, ``last_at`` the larger;
- ``status`` is that of the newest event by ``at``; at the same instant a terminal status wins over running, then the
  later arrival wins;
- ``agent`` is that of the newest record, ``model`` that of the newest record that names one; at the same instant the
  word that sorts last, so that no order of arrival matters.

A session that is known from usage alone is ``running`` (what spends tokens runs), with ``status_at`` empty: any event,
however old, knows better.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from contracts.payloads.session import SessionEventType, Source, UsageStatus
from domain.ledger.percentiles import NO_RUNTIME, bucket_of
from domain.ledger.usage import UsageRecord

DAY_MICROS: Final = 86_400_000_000
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class SessionStatus(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"


STATUS_OF_EVENT: Final[Mapping[str, SessionStatus]] = MappingProxyType(
    {
        SessionEventType.STARTED: SessionStatus.RUNNING,
        SessionEventType.HEARTBEAT: SessionStatus.RUNNING,
        SessionEventType.MESSAGE: SessionStatus.RUNNING,
        SessionEventType.TOOL_CALL: SessionStatus.RUNNING,
        SessionEventType.COMPLETED: SessionStatus.COMPLETED,
        SessionEventType.FAILED: SessionStatus.FAILED,
        SessionEventType.KILLED: SessionStatus.KILLED,
    }
)
TERMINAL: Final = frozenset(SessionStatus) - {SessionStatus.RUNNING}


class EventFacts(Protocol):
    """A proven session event: ``at`` in microseconds since the epoch."""

    @property
    def session_id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def at(self) -> int: ...
    @property
    def model(self) -> str | None: ...


class SessionChange(NamedTuple):
    """What a group says of one session; ``status_at`` is empty without an event, ``model_at`` without a model."""

    session_id: str
    agent: str
    model: str | None
    model_at: int | None
    status: SessionStatus
    status_at: int | None
    started_at: int
    last_at: int
    events: int
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd_micros: int


class DailyTotals(NamedTuple):
    """What a group adds to one day (UTC, ``YYYY-MM-DD``) of an agent and a model, and where the figures come from.

    Figures are split by where they come from: tokens as input + output, runtime in milliseconds, cost in micro-dollars;
    what is missing is counted in requests. ``unpriced`` counts the requests whose cost is missing because no list knew
    the price.
    """

    day: str
    agent: str
    model: str
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    runtime_ms: int
    cost_usd_micros: int
    tokens_reported: int
    tokens_derived: int
    tokens_missing_count: int
    runtime_ms_reported: int
    runtime_ms_derived: int
    runtime_missing_count: int
    cost_usd_micros_reported: int
    cost_usd_micros_derived: int
    cost_missing_count: int
    unpriced: int


class PerformanceCount(NamedTuple):
    """What a group adds to one class of runtime (``NO_RUNTIME``: it is missing) of a day, an agent and a model."""

    day: str
    agent: str
    model: str
    bucket: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class LedgerChanges:
    """The changes of a group, each table's in the order of its key, so that two daemons lock rows in the same order."""

    sessions: tuple[SessionChange, ...]
    days: tuple[DailyTotals, ...]
    performance: tuple[PerformanceCount, ...]


class _Session:
    """A session while its group is folded."""

    __slots__ = (
        "agent",
        "cost",
        "errors",
        "events",
        "input_tokens",
        "last_at",
        "model",
        "model_at",
        "output_tokens",
        "requests",
        "started_at",
        "status",
        "status_at",
    )

    def __init__(self, agent: str, at: int) -> None:
        self.agent = agent
        self.model: str | None = None
        self.model_at: int | None = None
        self.status = SessionStatus.RUNNING
        self.status_at: int | None = None
        self.started_at = at
        self.last_at = at
        self.events = self.requests = self.errors = 0
        self.input_tokens = self.output_tokens = self.cost = 0

    def seen(self, agent: str, at: int) -> None:
        if at > self.last_at:
            self.last_at = at
            self.agent = agent
        elif at < self.started_at:
            self.started_at = at
        if at == self.last_at and agent > self.agent:
            self.agent = agent

    def named(self, model: str, at: int) -> None:
        if self.model_at is None or at > self.model_at:
            self.model = model
            self.model_at = at
        elif at == self.model_at and (self.model is None or model > self.model):
            self.model = model

    def told(self, status: SessionStatus, at: int) -> None:
        if self.status_at is None or at > self.status_at:
            self.status = status
            self.status_at = at
        elif at == self.status_at and status in TERMINAL:
            self.status = status

    def change(self, session_id: str) -> SessionChange:
        return SessionChange(
            session_id,
            self.agent,
            self.model,
            self.model_at,
            self.status,
            self.status_at,
            self.started_at,
            self.last_at,
            self.events,
            self.requests,
            self.errors,
            self.input_tokens,
            self.output_tokens,
            self.cost,
        )


class _Day:
    """A day of an agent and a model while its group is folded; requests and errors are counted by class of runtime."""

    __slots__ = (
        "cost_derived",
        "cost_missing",
        "cost_reported",
        "counts",
        "errors",
        "input_tokens",
        "output_tokens",
        "runtime_derived",
        "runtime_missing",
        "runtime_reported",
        "tokens_derived",
        "tokens_missing",
        "tokens_reported",
        "unpriced",
    )

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.errors: defaultdict[int, int] = defaultdict(int)
        self.input_tokens = self.output_tokens = 0
        self.tokens_reported = self.tokens_derived = self.tokens_missing = 0
        self.runtime_reported = self.runtime_derived = self.runtime_missing = 0
        self.cost_reported = self.cost_derived = self.cost_missing = self.unpriced = 0

    def add(self, record: UsageRecord) -> None:
        input_tokens = record.input_tokens or 0
        output_tokens = record.output_tokens or 0
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        source = record.tokens_source
        if source == Source.DERIVED:
            self.tokens_derived += input_tokens + output_tokens
        elif source == Source.MISSING:
            self.tokens_missing += 1
        else:
            self.tokens_reported += input_tokens + output_tokens
        runtime_ms = record.runtime_ms
        if runtime_ms is None:
            bucket = NO_RUNTIME
            self.runtime_missing += 1
        else:
            bucket = bucket_of(runtime_ms)
            if record.runtime_source == Source.DERIVED:
                self.runtime_derived += runtime_ms
            else:
                self.runtime_reported += runtime_ms
        cost = record.cost_usd_micros
        if cost is None:
            self.cost_missing += 1
            self.unpriced += record.price_unknown
        elif record.cost_source == Source.DERIVED:
            self.cost_derived += cost
        else:
            self.cost_reported += cost
        self.counts[bucket] += 1
        if record.status == UsageStatus.ERROR:
            self.errors[bucket] += 1

    def totals(self, day: str, agent: str, model: str) -> DailyTotals:
        return DailyTotals(
            day,
            agent,
            model,
            sum(self.counts.values()),
            sum(self.errors.values()),
            self.input_tokens,
            self.output_tokens,
            self.runtime_reported + self.runtime_derived,
            self.cost_reported + self.cost_derived,
            self.tokens_reported,
            self.tokens_derived,
            self.tokens_missing,
            self.runtime_reported,
            self.runtime_derived,
            self.runtime_missing,
            self.cost_reported,
            self.cost_derived,
            self.cost_missing,
            self.unpriced,
        )


def fold(usage: Iterable[UsageRecord], events: Iterable[EventFacts]) -> LedgerChanges:
    """Everything that a group of new records changes. Both are taken in the order of their arrival."""
    sessions: dict[str, _Session] = {}
    days: dict[tuple[int, str, str], _Day] = {}
    for record in usage:
        at, agent, model = record.at, record.agent, record.model
        session = sessions.get(record.session_id)
        if session is None:
            session = sessions[record.session_id] = _Session(agent, at)
        else:
            session.seen(agent, at)
        session.named(model, at)
        session.requests += 1
        if record.status == UsageStatus.ERROR:
            session.errors += 1
        session.input_tokens += record.input_tokens or 0
        session.output_tokens += record.output_tokens or 0
        session.cost += record.cost_usd_micros or 0
        key = (at // DAY_MICROS, agent, model)
        day = days.get(key)
        if day is None:
            day = days[key] = _Day()
        day.add(record)
    for event in events:
        _fold_event(sessions, event)
    return _changes(sessions, days)


def _fold_event(sessions: dict[str, _Session], event: EventFacts) -> None:
    at, agent, model = event.at, event.agent, event.model
    session = sessions.get(event.session_id)
    if session is None:
        session = sessions[event.session_id] = _Session(agent, at)
    else:
        session.seen(agent, at)
    session.events += 1
    if model is not None:
        session.named(model, at)
    session.told(STATUS_OF_EVENT[event.type], at)


def _changes(sessions: dict[str, _Session], days: dict[tuple[int, str, str], _Day]) -> LedgerChanges:
    totals: list[DailyTotals] = []
    performance: list[PerformanceCount] = []
    for (number, agent, model), day in sorted(days.items(), key=lambda item: item[0]):
        text = day_text(number)
        totals.append(day.totals(text, agent, model))
        errors = day.errors
        performance.extend(
            PerformanceCount(text, agent, model, bucket, count, errors.get(bucket, 0))
            for bucket, count in sorted(day.counts.items())
        )
    return LedgerChanges(
        tuple(sessions[session_id].change(session_id) for session_id in sorted(sessions)),
        tuple(totals),
        tuple(performance),
    )


@lru_cache(maxsize=1024)
def day_text(number: int) -> str:
    """``YYYY-MM-DD`` of a day counted from the epoch."""
    return date.fromordinal(_EPOCH_ORDINAL + number).isoformat()


def merge_sessions(earlier: SessionChange, later: SessionChange) -> SessionChange:
    """Both changes of one session as one; what the stored row does with a change is the same."""
    newer = max(earlier, later, key=lambda change: (change.last_at, change.agent))
    named = max(
        earlier, later, key=lambda change: (change.model_at is not None, change.model_at or 0, change.model or "")
    )
    told = max(  # of equals the first: the later arrival
        later,
        earlier,
        key=lambda change: (change.status_at is not None, change.status_at or 0, change.status in TERMINAL),
    )
    return SessionChange(
        earlier.session_id,
        newer.agent,
        named.model,
        named.model_at,
        told.status,
        told.status_at,
        min(earlier.started_at, later.started_at),
        max(earlier.last_at, later.last_at),
        earlier.events + later.events,
        earlier.requests + later.requests,
        earlier.errors + later.errors,
        earlier.input_tokens + later.input_tokens,
        earlier.output_tokens + later.output_tokens,
        earlier.cost_usd_micros + later.cost_usd_micros,
    )
