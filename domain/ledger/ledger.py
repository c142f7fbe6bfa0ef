"""What a group of events and usage records changes: sessions, hours, days, and the performance of models.

A group is folded into one change for each session, hour, day and class of runtime, so that a batch of a thousand
messages touches each row once. Changes are sums, minima, maxima and newest values. They can be merged in any grouping
and in any order, and the stored rows take them in by the same rules:

- sums add, up to the largest number of 64 bits; ``started_at`` takes the smaller, ``last_at`` the larger;
- ``status`` is that of the newest event by ``at``; at the same instant a terminal status wins over running, then the
  later arrival wins;
- ``agent`` is that of the newest record, ``model`` that of the newest record that names one; at the same instant the
  word that sorts last, so that no order of arrival matters.

A session that is known from usage alone is ``running`` (what spends tokens runs), with ``status_at`` empty: any event,
however old, knows better.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Final, Protocol

from contracts.payloads.ingest.session import SessionEventType, Source, UsageStatus
from contracts.values.states import SessionStatus
from contracts.values.times import day_text
from domain.ledger.changes import DailyTotals, HourlyTotals, LedgerChanges, PerformanceCount, SessionChange
from domain.ledger.percentiles import NO_RUNTIME, bucket_of
from domain.ledger.saturation import within_64_bits
from domain.ledger.usage import UsageRecord

HOUR_MICROS: Final = 3_600_000_000
HOURS_PER_DAY: Final = 24
DAY_MICROS: Final = HOURS_PER_DAY * HOUR_MICROS


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


class _Session:
    """A session while its group is folded."""

    __slots__ = (
        "agent",
        "cost",
        "cost_derived",
        "cost_missing",
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
        "tokens_derived",
        "tokens_missing",
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
        self.tokens_derived = self.tokens_missing = self.cost_derived = self.cost_missing = 0

    def used(self, input_tokens: int, output_tokens: int, tokens_source: str, record: UsageRecord) -> None:
        self.requests += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        if tokens_source == Source.DERIVED:
            self.tokens_derived += input_tokens + output_tokens
        elif tokens_source == Source.MISSING:
            self.tokens_missing += 1
        cost = record.cost_usd_micros
        if cost is None:
            self.cost_missing += 1
            return
        self.cost += cost
        if record.cost_source == Source.DERIVED:
            self.cost_derived += cost

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

    def reported(self, status: SessionStatus, at: int) -> None:
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
            *within_64_bits(
                (
                    self.events,
                    self.requests,
                    self.errors,
                    self.input_tokens,
                    self.output_tokens,
                    self.cost,
                    self.tokens_derived,
                    self.tokens_missing,
                    self.cost_derived,
                    self.cost_missing,
                )
            ),
        )


class _Hour:
    """An hour of an agent and a model while its group is folded; requests and errors are counted by class of
    runtime."""

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

    def used(self, input_tokens: int, output_tokens: int, tokens_source: str, record: UsageRecord) -> int:
        """Add a request; answers its class of runtime."""
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        if tokens_source == Source.DERIVED:
            self.tokens_derived += input_tokens + output_tokens
        elif tokens_source == Source.MISSING:
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
        return bucket

    def totals(self, hour: int, agent: str, model: str) -> HourlyTotals:
        return HourlyTotals(
            hour,
            agent,
            model,
            *within_64_bits(
                (
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
            ),
        )


def fold(usage: Iterable[UsageRecord], events: Iterable[EventFacts]) -> LedgerChanges:
    """Everything that a group of new records changes. Both are taken in the order of their arrival."""
    sessions: dict[str, _Session] = {}
    hours: dict[tuple[int, str, str], _Hour] = {}
    for record in usage:
        at, agent, model = record.at, record.agent, record.model
        session = sessions.get(record.session_id)
        if session is None:
            session = sessions[record.session_id] = _Session(agent, at)
        else:
            session.seen(agent, at)
        session.named(model, at)
        key = (at // HOUR_MICROS, agent, model)
        hour = hours.get(key)
        if hour is None:
            hour = hours[key] = _Hour()
        used = (record.input_tokens or 0, record.output_tokens or 0, record.tokens_source, record)
        session.used(*used)
        bucket = hour.used(*used)
        if record.status == UsageStatus.ERROR:
            session.errors += 1
            hour.errors[bucket] += 1
    for event in events:
        _fold_event(sessions, event)
    totals = tuple(hours[key].totals(*key) for key in sorted(hours))
    return LedgerChanges(
        tuple(sessions[session_id].change(session_id) for session_id in sorted(sessions)),
        totals,
        _days(totals),
        tuple(_performance(hours)),
    )


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
    session.reported(STATUS_OF_EVENT[event.type], at)


def _days(hours: Iterable[HourlyTotals]) -> tuple[DailyTotals, ...]:
    """The hours of each day, summed up."""
    sums: dict[tuple[str, str, str], tuple[int, ...]] = {}
    for hour in hours:
        key = (day_text(hour.hour // HOURS_PER_DAY), hour.agent, hour.model)
        figures = hour[_FIGURES_FROM:]
        known = sums.get(key)
        sums[key] = figures if known is None else within_64_bits(map(sum, zip(known, figures, strict=True)))
    return tuple(DailyTotals(*key, *sums[key]) for key in sorted(sums))


def _performance(hours: Mapping[tuple[int, str, str], _Hour]) -> Iterator[PerformanceCount]:
    """The counts of each day by class of runtime. They are many, so keys are made and sorted by the day alone."""
    days: defaultdict[tuple[str, str, str], list[_Hour]] = defaultdict(list)
    for (number, agent, model), hour in hours.items():
        days[day_text(number // HOURS_PER_DAY), agent, model].append(hour)
    for (day, agent, model), parts in sorted(days.items(), key=itemgetter(0)):
        counts, errors = parts[0].counts, parts[0].errors
        for hour in parts[1:]:
            for bucket, count in hour.counts.items():
                counts[bucket] += count
            for bucket, count in hour.errors.items():
                errors[bucket] += count
        for bucket in sorted(counts):
            yield PerformanceCount(day, agent, model, bucket, counts[bucket], errors.get(bucket, 0))


_FIGURES_FROM: Final = 3
"""Where the figures of totals begin, after their key."""
