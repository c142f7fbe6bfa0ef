"""The pulse: what a daemon tells of itself every few seconds, so that nobody has to ask."""

from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field

from contracts.payloads.base import Payload
from contracts.values.types import Count

Figure: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Rates(Payload):
    """Messages a second, over the last ten."""

    accepted: Figure
    refused: Figure
    duplicate: Figure


class Lag(Payload):
    """Milliseconds from the stream's store to the commit, over the last ten seconds; null where nothing came."""

    p50: Figure | None
    p99: Figure | None


class OutboxFigures(Payload):
    rows: Count
    oldest_s: Figure
    failed: Count


class ConsumerFigures(Payload):
    pending: Count
    unacknowledged: Count


class PulseObstacle(Payload):
    """Why the daemon is not ready."""

    dependency: str
    noticed_by: str
    detail: str


class PulseRun(Payload):
    """A run that this daemon works on."""

    run_id: str
    operation: str
    status: str


class Pulse(Payload):
    """pulse 1.0: totals since the daemon's start; counts of the database are the same for all daemons of one."""

    model_config = ConfigDict(extra="allow")

    daemon_id: str
    version: str
    ready: bool
    obstacles: list[PulseObstacle]
    messages: dict[str, dict[str, Count]]
    rate_per_second: Rates
    lag_ms: Lag
    outbox: OutboxFigures
    consumers: dict[str, ConsumerFigures]
    dead_letters_open: Count
    work_not_taken: list[str]
    runs: list[PulseRun]
    alerts: dict[str, str]
