"""What handlers may ask of the repositories. They know these protocols, never the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from domain.ledger.changes import DailyTotals, HourlyTotals, PerformanceCount, SessionChange
from domain.ledger.usage import UsageRecord
from storage.content.ports import Mark, Period


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


class FeedItem(NamedTuple):
    """An item of a feed as it is stored. ``failure`` is JSON text; times in microseconds since the epoch."""

    item_id: str
    source: str
    title: str
    url: str
    published_at: int
    text: str | None
    status: str
    attempt: int
    work_id: str | None
    sentiment_label: str | None
    sentiment_score: float | None
    failure: str | None
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int
    version: int = 1


class ItemStanding(NamedTuple):
    """What decisions change of an item."""

    item_id: str
    status: str
    attempt: int
    work_id: str | None
    sentiment_label: str | None
    sentiment_score: float | None
    failure: str | None
    updated_at: int
    version: int


class ItemRepository(Protocol):
    """Items of feeds."""

    def add(self, items: Sequence[FeedItem]) -> set[str]:
        """Keep those that are new; answers their ids. There is one of each id among *items*."""
        ...

    def renew(self, items: Sequence[FeedItem]) -> None:
        """Replace what older messages said of these; what is stored of a message as new or newer stays."""
        ...

    def lock(self, item_ids: Sequence[str]) -> Mapping[str, FeedItem]:
        """The items, kept from others until the transaction ends."""
        ...

    def store(self, standings: Sequence[ItemStanding]) -> None: ...

    def get(self, item_id: str) -> FeedItem | None: ...

    def page(self, within: Period, *, status: str | None, before: Mark | None, limit: int) -> Sequence[FeedItem]:
        """By ``published_at``, newest first, from the one after *before* on."""
        ...


class Publication(NamedTuple):
    """A publication as it is stored. ``hashtags`` and ``failure`` are JSON text, times microseconds since the epoch."""

    post_id: str
    script_id: str | None
    job_id: str | None
    platform: str
    publish_at: int
    caption: str
    hashtags: str
    topic: str | None
    objective: str | None
    status: str
    due_at: int
    attempt: int
    failures: int
    work_id: str | None
    external_id: str | None
    failure: str | None
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int
    version: int = 1
    cancelled_by: str | None = None
    cancelled_at: int | None = None
    cancel_reason: str | None = None


class PublicationRepository(Protocol):
    """What is to be published."""

    def add(self, rows: Sequence[Publication]) -> set[str]:
        """Keep those that are new; answers their ids. There is one of each id among *rows*."""
        ...

    def lock(self, post_ids: Sequence[str]) -> Mapping[str, Publication]:
        """The publications, kept from others until the transaction ends."""
        ...

    def lock_due(self, *, now: int, limit: int, without: Sequence[str] = ()) -> Sequence[Publication]:
        """What is scheduled, due and in nobody else's hands, the longest due first, kept from others; not *without*."""
        ...

    def due_since(self, moment: int, *, limit: int) -> Sequence[str]:
        """The ids of those that are scheduled and were due at *moment*, the longest due first."""
        ...

    def next_due_at(self) -> int | None:
        """When the next of those that are scheduled is due."""
        ...

    def video_urls(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        """The finished videos of those jobs that have one."""
        ...

    def store(self, rows: Sequence[Publication]) -> None: ...

    def get(self, post_id: str) -> Publication | None: ...

    def page(self, within: Period, *, status: str | None, before: Mark | None, limit: int) -> Sequence[Publication]:
        """By ``publish_at``, newest first, from the one after *before* on."""
        ...
