"""What a group of messages changes in the ledger and in its totals."""

from dataclasses import dataclass
from typing import NamedTuple

from contracts.values.states import SessionStatus


class SessionChange(NamedTuple):
    """What a group says of one session; ``status_at`` is empty without an event, ``model_at`` without a model.

    Of tokens (input + output) and cost it also says what is derived, and of how many requests they are missing; the
    rest is reported.
    """

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
    tokens_derived: int = 0
    tokens_missing_count: int = 0
    cost_usd_micros_derived: int = 0
    cost_missing_count: int = 0


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


class HourlyTotals(NamedTuple):
    """What a group adds to one hour (counted from the epoch) of an agent and a model; figures as in a day's totals."""

    hour: int
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
    hours: tuple[HourlyTotals, ...]
    days: tuple[DailyTotals, ...]
    performance: tuple[PerformanceCount, ...]
