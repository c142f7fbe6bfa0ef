"""What every execution of a bridge works with, and what ends a prediction that nobody waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog
from nats.errors import Error as NatsError

from adapters.providers import Prediction, Provider, ProviderError
from contracts.errors import JsonObject
from daemon.bridge.callbacks import Callbacks
from daemon.bridge.job_views import FreshInputs, JobViews
from daemon.bridge.journal import Entry, FencedError, Journal, Phase, Stored
from daemon.bridge.metrics import BridgeMetrics
from daemon.bridge.reports import BridgeReport
from domain.bridge.predictions import FIRST_WAIT_S, wait_s

log = structlog.get_logger(__name__)

_CANCEL_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """How one type of work is done."""

    report: BridgeReport
    model: str
    inputs: JsonObject
    """A template of the prediction's inputs."""
    limit_s: float
    retries: int
    per_second_usd_micros: int | None = None
    per_run_usd_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are done."""

    poll_s: float = 2.0
    heartbeat_s: float = 30.0
    """A callback at least this often: it extends the work's deadline."""
    first_wait_s: float = FIRST_WAIT_S


class Patience:
    """What the provider asked all of us for: no creation before this moment."""

    def __init__(self) -> None:
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)

    def left_s(self) -> float:
        return max(0.0, self._until - asyncio.get_running_loop().time())


@dataclass(frozen=True, slots=True)
class Tools:
    """What every execution of a bridge works with. ``owner`` names the process, ``clock`` gives microseconds,
    ``give_back`` answers a delivery that is another's: it is delivered again."""

    provider: Provider
    journal: Journal
    callbacks: Callbacks
    views: JobViews
    fresh_inputs: FreshInputs
    metrics: BridgeMetrics
    patience: Patience
    pace: Pace
    owner: str
    clock: Callable[[], int]
    give_back: Callable[[str], Awaitable[None]]


async def withdraw(stored: Stored, tools: Tools) -> None:
    """End what runs upstream for an entry, and close it. Errors of NATS are left to the next who looks at the entry."""
    await cancel_upstream(stored.entry, tools)
    try:
        await tools.journal.save(replace(stored.entry, phase=Phase.DONE, pending=()), stored.revision)
    except (NatsError, FencedError) as error:
        log.warning("entry_not_closed", work_id=stored.entry.work_id, reason=type(error).__name__)


async def cancel_upstream(entry: Entry, tools: Tools) -> Prediction | None:
    """Cancel the entry's prediction, if one runs; a provider that is away is asked a few times.

    Where it cannot be reached the prediction ends by the deadline that it was created with.
    """
    if entry.phase is not Phase.RUNNING or entry.prediction_id is None:
        return None
    for failures in range(1, _CANCEL_TRIES + 1):
        try:
            answer = await tools.provider.cancel(entry.prediction_id)
        except ProviderError as error:
            tools.metrics.error(error.reason)
            log.warning("prediction_not_cancelled", prediction_id=entry.prediction_id, detail=error.detail)
            wait = wait_s(failures, retry_after_s=error.retry_after_s, chance=0.5, first_s=tools.pace.first_wait_s)
            await asyncio.sleep(wait)
        else:
            log.info("prediction_cancelled", prediction_id=entry.prediction_id)
            return answer
    return None
