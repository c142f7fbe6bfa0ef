"""One piece of work from its delivery to its last callback.

The journal entry says where it stands (``creating → running → reporting → done``) and is written before each step, so
that another process can go on from any point. Only a stop, a cancellation or a newer attempt interrupts it; an outage
of NATS or of the provider is waited out.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

import structlog
from nats.errors import Error as NatsError

from adapters.providers import Prediction, PredictionRequest, PredictionStatus, ProviderError, Reason
from contracts.errors import JsonObject
from contracts.values.times import MICROS_PER_SECOND
from daemon.bridge.callbacks import UnfitCallbackError
from daemon.bridge.job_views import is_over
from daemon.bridge.journal import Callback, Entry, FencedError, Phase, Stored
from daemon.bridge.reports import OutputUnusableError
from daemon.bridge.tools import Plan, Tools, cancel_upstream, withdraw
from daemon.bridge.work import BridgeWork
from domain.backoff import Backoff
from domain.bridge.prediction_inputs import fill
from domain.bridge.predictions import Ending, GiveUp, TryAgain, Unfinished, after_try, cost_usd_micros, wait_s

log = structlog.get_logger(__name__)
T = TypeVar("T")

_REPORT_STEP: Final = 5  # percent
_NATS_FIRST_WAIT_S: Final = 0.2
_NATS_LONGEST_WAIT_S: Final = 5.0
_DEADLINE_SLACK_S: Final = 60.0
_ENDINGS: Final = {PredictionStatus.FAILED: Ending.FAILED, PredictionStatus.CANCELED: Ending.CANCELED}


class Interrupt(StrEnum):
    STOP = "stop"
    """The process ends; the prediction goes on and is picked up again."""
    CANCEL = "cancel"
    """Nobody wants the result any more."""
    SUPERSEDED = "superseded"
    """A newer attempt takes over, and perhaps the prediction with it."""


class ExecutionOutcome(StrEnum):
    FINISHED = "finished"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    """A newer attempt has the work, here or elsewhere."""
    LOST = "lost"
    """Another bridge has the work."""


class InterruptedWorkError(Exception):
    """Leaves the step at hand; nothing of it is half done that the journal does not know of."""


class Execution:
    """Carries out one attempt at one piece of work."""

    def __init__(self, work: BridgeWork, plan: Plan, tools: Tools) -> None:
        self.work = work
        self._plan = plan
        self._tools = tools
        self._interrupted = asyncio.Event()
        self._interrupt: Interrupt | None = None
        self._stored = Stored(self._fresh_entry(), 0)
        self._creation_uncertain = False
        self._standing: str | None = None
        self._percent = 0
        self._reported_percent = 0
        self._reported_at: float | None = None

    def interrupt(self, why: Interrupt) -> None:
        """Make :meth:`carry_out` return soon. A cancellation outweighs a stop."""
        if self._interrupt is not Interrupt.CANCEL:
            self._interrupt = why
        self._interrupted.set()

    async def carry_out(self) -> ExecutionOutcome:
        """Return when the work is done, or is no longer ours. Raises nothing but bugs."""
        try:
            return await self._to_the_end()
        except FencedError:
            log.warning("work_lost", work_id=self.work.work_id, attempt=self.work.attempt)
            return ExecutionOutcome.LOST
        except InterruptedWorkError:
            return await self._leave()

    async def _leave(self) -> ExecutionOutcome:
        if self._interrupt is Interrupt.STOP:
            return ExecutionOutcome.STOPPED
        if self._interrupt is Interrupt.SUPERSEDED:
            return ExecutionOutcome.SUPERSEDED
        await withdraw(self._stored, self._tools)
        log.info("work_cancelled", work_id=self.work.work_id, job_id=self.work.job_id)
        return ExecutionOutcome.CANCELLED

    async def _to_the_end(self) -> ExecutionOutcome:
        await self._open()
        if self._entry.phase is not Phase.DONE:
            self._standing = await self._tools.views.status(self.work.job_id)
            if is_over(self._standing):
                self.interrupt(Interrupt.CANCEL)
                self._stop_if_interrupted()
            await self._send_pending()
        if self._entry.phase in {Phase.CREATING, Phase.RUNNING}:
            await self._report_progress()
        while self._entry.phase is not Phase.DONE:
            # Callbacks that are made already are worth their moment even while the process stops.
            if self._entry.phase is not Phase.REPORTING or self._interrupt is not Interrupt.STOP:
                self._stop_if_interrupted()
            await self._step()
        return ExecutionOutcome.FINISHED

    async def _step(self) -> None:
        match self._entry.phase:
            case Phase.CREATING:
                unfinished = await self._create()
            case Phase.RUNNING:
                unfinished = await self._follow()
            case _:
                await self._send_pending()
                await self._save(replace(self._entry, phase=Phase.DONE, pending=()))
                return
        if unfinished is not None:
            await self._decide(unfinished)

    # --- the entry

    @property
    def _entry(self) -> Entry:
        return self._stored.entry

    def _fresh_entry(self) -> Entry:
        work = self.work
        inputs = fill(self._plan.inputs, work.payload)
        owner, now = self._tools.owner, self._tools.clock()
        return Entry(work.work_id, work.attempt, work.job_id, owner, inputs, now, delivery=work.delivery)

    async def _open(self) -> None:
        """Take the work over as the journal has it."""
        known = await self._insist(partial(self._tools.journal.load, self.work.work_id))
        entry, revision = self._entry, 0
        if known is not None:
            revision = known.revision
            if known.entry.attempt > self.work.attempt:
                self.interrupt(Interrupt.SUPERSEDED)
                self._stop_if_interrupted()
            if known.entry.attempt == self.work.attempt:
                entry = replace(known.entry, owner=self._tools.owner, delivery=self.work.delivery)
                self._creation_uncertain = entry.phase is Phase.CREATING
            else:
                entry = await self._inherited(known)
        self._stored = Stored(entry, revision)
        await self._save(entry)

    async def _inherited(self, known: Stored) -> Entry:
        """A newer attempt keeps a prediction that runs for the same inputs; any other is ended."""
        fresh, old = self._entry, known.entry
        if old.phase is not Phase.RUNNING:
            return fresh
        if old.inputs == fresh.inputs:
            return replace(fresh, phase=Phase.RUNNING, prediction_id=old.prediction_id, since=old.since)
        await cancel_upstream(old, self._tools)
        return fresh

    async def _save(self, entry: Entry) -> None:
        self._stored = await self._insist(partial(self._tools.journal.save, entry, self._stored.revision))

    async def _insist(self, action: Callable[[], Awaitable[T]]) -> T:
        """Repeat what NATS did not answer: it comes back, and the work is worth nothing without it."""
        unanswered = Backoff(_NATS_FIRST_WAIT_S, _NATS_LONGEST_WAIT_S, _chance)
        while True:
            try:
                return await action()
            except NatsError as error:
                self._tools.metrics.error("nats")
                log.warning("nats_unanswered", work_id=self.work.work_id, reason=f"{type(error).__name__}: {error}")
            await self._pause(unanswered.next_delay_s())

    # --- the prediction

    async def _create(self) -> Unfinished | None:
        """Get a prediction to run for this try; where an earlier creation may have happened, look for it first."""
        tools, failures = self._tools, 0
        deadline_s = self._plan.limit_s + _DEADLINE_SLACK_S
        request = PredictionRequest(self._plan.model, self._entry.inputs, deadline_s)
        while True:
            await self._pause(tools.patience.left_s())
            try:
                prediction = await self._find_lost(request) if self._creation_uncertain else None
                if prediction is None:
                    prediction = await tools.provider.create(request)
            except ProviderError as error:
                self._creation_uncertain = self._creation_uncertain or error.may_have_happened
                failures += 1
                wait = self._count(error, failures)
                if not error.passes:
                    return Unfinished(Ending.REFUSED, error.detail)
                if error.reason is Reason.RATE_LIMITED:
                    tools.patience.hold(wait)  # what was asked of one is asked of all
                elif self._age_s() + wait > self._plan.limit_s:
                    return Unfinished(Ending.UNREACHABLE, error.detail)
                await self._pause(wait)
                await self._report_when_quiet()
            else:
                await self._adopt(prediction)
                return None

    async def _find_lost(self, request: PredictionRequest) -> Prediction | None:
        for found in await self._tools.provider.find(request, since=self._entry.since):
            if await self._insist(partial(self._tools.journal.claim, found.id, self._entry.mark)):
                log.info("prediction_found_again", work_id=self.work.work_id, prediction_id=found.id)
                return found
        return None

    async def _adopt(self, prediction: Prediction) -> None:
        self._creation_uncertain = False
        since = self._tools.clock()
        entry = replace(self._entry, phase=Phase.RUNNING, prediction_id=prediction.id, since=since, pending=())
        await self._save(entry)
        # Its own prediction may have been claimed by a twin with the same inputs; then both share it.
        await self._insist(partial(self._tools.journal.claim, prediction.id, entry.mark))
        log.info("prediction_running", work_id=self.work.work_id, prediction_id=prediction.id, tries=entry.tries)

    async def _follow(self) -> Unfinished | None:
        """Poll until the prediction has ended or its time is over."""
        failures, wait = 0, 0.0
        while True:
            await self._pause(wait)
            try:
                prediction = await self._tools.provider.get(self._entry.prediction_id or "")
            except ProviderError as error:
                failures += 1
                wait = self._count(error, failures)
                if error.reason is Reason.NOT_FOUND:
                    return Unfinished(Ending.GONE, error.detail)
            else:
                failures, wait = 0, self._tools.pace.poll_s
                if prediction.status.is_final:
                    return await self._ended(prediction)
                await self._heartbeat(prediction)
            if self._age_s() > self._plan.limit_s:
                return await self._timed_out()

    async def _timed_out(self) -> Unfinished | None:
        self._tools.metrics.error("time_limit")
        last = await cancel_upstream(self._entry, self._tools)
        if last is not None and last.status is PredictionStatus.SUCCEEDED:
            return await self._ended(last)
        if last is not None:
            self._add_cost(last)
        return Unfinished(Ending.TIMED_OUT)

    async def _ended(self, prediction: Prediction) -> Unfinished | None:
        self._add_cost(prediction)
        if prediction.status is not PredictionStatus.SUCCEEDED:
            self._tools.metrics.error(f"prediction_{prediction.status}")
            return Unfinished(_ENDINGS[prediction.status], prediction.error)
        if prediction.is_removed:
            self._tools.metrics.error("output_removed")
            return Unfinished(Ending.GONE, "its output was removed")
        try:
            await self._finish(list(self._plan.report.finished(prediction.output)))
        except (OutputUnusableError, UnfitCallbackError) as error:
            self._tools.metrics.error("output_unusable")
            return Unfinished(Ending.UNUSABLE, str(error))
        self._ended_with("succeeded")
        return None

    async def _decide(self, unfinished: Unfinished) -> None:
        """Try again, or tell that it failed."""
        entry, work = self._entry, self.work
        self._ended_with(unfinished.ending)
        log.warning("prediction_unfinished", work_id=work.work_id, ending=str(unfinished.ending), tries=entry.tries)
        match after_try(unfinished, tries=entry.tries, retries=self._plan.retries):
            case GiveUp(code, message, retryable):
                await self._finish([self._plan.report.failed(code, message, retryable=retryable)])
            case TryAgain(fresh_inputs):
                inputs = await self._tools.fresh_inputs.renew(work, entry.inputs) if fresh_inputs else entry.inputs
                again = replace(entry, phase=Phase.CREATING, tries=entry.tries + 1, prediction_id=None, inputs=inputs)
                await self._save(replace(again, since=self._tools.clock(), pending=()))
                self._creation_uncertain = False
                await self._pause(self._wait_s(entry.tries, None))

    def _add_cost(self, prediction: Prediction) -> None:
        """To the entry in hand; it is saved with the step that follows."""
        cost = cost_usd_micros(
            runtime_s=prediction.runtime_s,
            succeeded=prediction.status is PredictionStatus.SUCCEEDED,
            per_second_usd_micros=self._plan.per_second_usd_micros,
            per_run_usd_micros=self._plan.per_run_usd_micros,
        )
        if cost is not None:
            total = (self._entry.cost_usd_micros or 0) + cost
            self._stored = replace(self._stored, entry=replace(self._entry, cost_usd_micros=total))
            self._tools.metrics.cost(self.work.type, cost)

    def _ended_with(self, ending: str) -> None:
        self._tools.metrics.prediction_ended(self.work.type, ending, self._age_s())

    # --- callbacks

    async def _heartbeat(self, prediction: Prediction) -> None:
        self._percent = max(self._percent, prediction.progress or 0)
        if self._percent - self._reported_percent >= _REPORT_STEP:
            await self._report_progress()
        else:
            await self._report_when_quiet()

    async def _report_when_quiet(self) -> None:
        """A sign of life, and a look whether anybody still waits for the result."""
        now = asyncio.get_running_loop().time()
        if self._reported_at is not None and now - self._reported_at < self._tools.pace.heartbeat_s:
            return
        self._standing = await self._tools.views.status(self.work.job_id) or self._standing
        if is_over(self._standing):  # the event that said so was missed
            self.interrupt(Interrupt.CANCEL)
        self._stop_if_interrupted()
        await self._report_progress()

    async def _report_progress(self) -> None:
        # Only an output that was used is the whole way.
        percent = min(self._percent, 99)
        callback = self._callback(self._plan.report.progress(percent, self._standing), self._entry.sequence + 1)
        await self._save(replace(self._entry, sequence=self._entry.sequence + 1, pending=(callback,)))
        await self._send_pending()
        self._reported_percent, self._reported_at = self._percent, asyncio.get_running_loop().time()

    async def _finish(self, reports: list[JsonObject]) -> None:
        """Write the last callbacks down, the cost of all tries in the very last; they are sent by the next step.

        Raises :class:`UnfitCallbackError`.
        """
        first, last = self._entry.sequence + 1, len(reports) - 1
        cost = self._entry.cost_usd_micros
        callbacks = tuple(
            self._callback(report, first + index, cost if index == last else None)
            for index, report in enumerate(reports)
        )
        await self._save(replace(self._entry, phase=Phase.REPORTING, sequence=first + last, pending=callbacks))

    def _callback(self, report: JsonObject, sequence: int, cost: int | None = None) -> Callback:
        kind = self._plan.report.kind
        return self._tools.callbacks.make(self.work, kind, report, sequence=sequence, cost_usd_micros=cost)

    async def _send_pending(self) -> None:
        """Send what the entry holds; a callback that was stored before is known by its id and changes nothing."""
        for callback in self._entry.pending:
            await self._insist(partial(self._tools.callbacks.send, callback))
            self._tools.metrics.callback_stored(self.work.type)

    # --- time

    def _age_s(self) -> float:
        return (self._tools.clock() - self._entry.since) / MICROS_PER_SECOND

    def _count(self, error: ProviderError, failures: int) -> float:
        """Count an error; how long to wait after it."""
        self._tools.metrics.error(error.reason)
        log.warning(
            "provider_error",
            work_id=self.work.work_id,
            reason=str(error.reason),
            detail=error.detail,
            failures=failures,
        )
        return self._wait_s(failures, error.retry_after_s)

    def _wait_s(self, failures: int, retry_after_s: float | None) -> float:
        return wait_s(failures, retry_after_s=retry_after_s, chance=_chance(), first_s=self._tools.pace.first_wait_s)

    def _stop_if_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise InterruptedWorkError

    async def _pause(self, seconds: float) -> None:
        """Wait, or raise :class:`InterruptedWorkError` as soon as there is a reason to."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._interrupted.wait()
            except TimeoutError:
                return
        self._stop_if_interrupted()


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads retries, guards nothing
