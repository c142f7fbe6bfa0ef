"""Background loops: each a name, an interval, a step, and what a failure of the step does.

All are started and stopped the same way, and each is seen in metrics: when it last ran, how long that took, how often
it failed.
"""

import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from adapters.errors import AdapterError
from daemon.observability.metrics import Metrics
from domain.backoff import Backoff
from storage.engine.failures import StorageConflict, StorageError

log = structlog.get_logger(__name__)

_LONGEST_BACKOFF_S: Final = 30.0


class OnFailure(StrEnum):
    """What a failure of a step does."""

    RETRY = "retry"
    """It is logged and counted, and the step comes again: after the interval where the outside world was away, and more
    slowly each time where the step itself is broken."""
    STOP_DAEMON = "stop_daemon"
    """It ends the daemon: nothing here can mend it."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A step that is run again and again.

    ``step`` answers after how many seconds it wants to run again, or None for ``interval_s``.
    """

    name: str
    interval_s: float
    step: Callable[[], Awaitable[float | None]]
    on_failure: OnFailure = OnFailure.RETRY


@dataclass(frozen=True, slots=True)
class Service:
    """Something that runs until it is cancelled and heals itself; what it raises ends the daemon."""

    name: str
    run: Callable[[], Coroutine[object, object, None]]


@dataclass(slots=True)
class LoopRunner:
    """Runs loops and services in the daemon's task group."""

    metrics: Metrics
    chance: Callable[[], float] = field(default=random.random)

    def start(self, tasks: TaskGroup, loops: Sequence[Loop], services: Sequence[Service]) -> None:
        """Start all of them in *tasks*, whose cancellation ends them."""
        for service in services:
            tasks.start_soon(service.run, name=service.name)
        for loop in loops:
            tasks.start_soon(self.run, loop, name=loop.name)

    async def run(self, loop: Loop) -> None:
        """Run one loop until cancelled. Raises what its step raises where a failure stops the daemon."""
        backoff = Backoff(max(loop.interval_s, 0.1), max(loop.interval_s, _LONGEST_BACKOFF_S), self.chance)
        while True:
            started = time.perf_counter()
            try:
                wait_s = await loop.step()
            except StorageConflict:
                wait_s = 0.0
            except (StorageError, AdapterError, OSError) as error:
                if loop.on_failure is OnFailure.STOP_DAEMON:
                    raise
                self._failed(loop, error)
                wait_s = None
            except Exception:  # a broken step must not end what still works
                if loop.on_failure is OnFailure.STOP_DAEMON:
                    raise
                log.exception("loop_step_broke", loop=loop.name)
                self.metrics.loop_failures.labels(loop.name).inc()
                wait_s = backoff.next_delay_s()
            else:
                backoff.reset()
                self.metrics.loop_seconds.labels(loop.name).observe(time.perf_counter() - started)
                self.metrics.loop_last_run.labels(loop.name).set_to_current_time()
            await anyio.sleep(loop.interval_s if wait_s is None else wait_s)

    def _failed(self, loop: Loop, error: Exception) -> None:
        log.warning("loop_step_failed", loop=loop.name, reason=str(error) or type(error).__name__)
        self.metrics.loop_failures.labels(loop.name).inc()
