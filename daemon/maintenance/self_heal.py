"""Self-healing: what went stale goes out again, a bounded number of times, then it is given up with an alert.

A round is run by one daemon at a time, under a lease that every one of its transactions checks within itself. Those are
small, so that intake never waits for more than one of them, and a thing that cannot be healed stops no other.
"""

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import anyio
import structlog

from adapters.errors import AdapterError
from contracts.errors import ErrorCode, JsonObject, JsonValue, problem
from contracts.values.principals import SYSTEM
from daemon.maintenance.work_watch import WorkWatch
from daemon.observability.metrics import Metrics
from daemon.outbox.relay import Relay
from daemon.settings.pipeline import SelfHealSettings
from daemon.transactions import ANSWERED, Done, Poison, committed, isolated
from handlers.alerts.counting import count
from handlers.effects import Context
from handlers.healing.healing import HEALERS, Healed, Healer, HealTerms
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageError
from storage.journal.leases import Lease
from storage.journal.ops_runs import FAILED, SUCCEEDED, NewRun
from storage.unit_of_work import UnitOfWork
from storage.work.work_takers import HealRound

log = structlog.get_logger(__name__)

T = TypeVar("T")

OPERATION: Final = "self-heal"
LEASE: Final = "self-heal"
_LEASE_S: Final = 60.0
_AT_ONCE: Final = 20
"""Things healed in one transaction: a few milliseconds of the writer."""
_LOOK_S: Final = 5.0
_LAST_WORDS_S: Final = 5.0
_MICROS: Final = 1_000_000


class RoundBusy(Exception):
    """Another daemon's round runs at this moment."""


class LeaseLost(Exception):
    """The round took longer than its lease; another daemon may run one."""


@dataclass(slots=True)
class Tally:
    """What a round came to for one sort of thing."""

    found: int = 0
    republished: int = 0
    given_up: int = 0


@dataclass(slots=True)
class Round:
    """A round and what it came to."""

    dry_run: bool
    threshold_s: float
    started: float = field(default_factory=time.monotonic)
    tallies: dict[str, Tally] = field(default_factory=dict)
    errors: int = 0

    @property
    def found(self) -> int:
        return sum(tally.found for tally in self.tallies.values())

    def as_json(self) -> JsonObject:
        """The result of the operation: totals, and the same for each sort of thing."""
        totals = self.tallies.values()
        by_sort: dict[str, JsonValue] = {
            what: {"found": tally.found, "republished": tally.republished, "given_up": tally.given_up}
            for what, tally in self.tallies.items()
        }
        return {
            "dry_run": self.dry_run,
            "items_found": self.found,
            "items_republished": sum(tally.republished for tally in totals),
            "items_given_up": sum(tally.given_up for tally in totals),
            "errors": self.errors,
            "threshold_s": self.threshold_s,
            "duration_ms": round((time.monotonic() - self.started) * 1_000, 3),
            "by": by_sort,
        }


class SelfHeal:
    """Runs rounds: every ``interval_s`` of all daemons together, and whenever an operator asks for one."""

    def __init__(
        self,
        database: Database,
        *,
        settings: SelfHealSettings,
        context: Callable[[], Context],
        watch: WorkWatch,
        relay: Relay,
        metrics: Metrics,
        healers: Sequence[Healer] = HEALERS,
    ) -> None:
        self._database = database
        self._settings = settings
        self._context = context
        self._watch = watch
        self._relay = relay
        self._metrics = metrics
        self._healers = healers
        self._terms = HealTerms(settings.threshold_s, settings.batch_size)
        for healer in healers:
            metrics.self_heal_found.labels(healer.what)
            metrics.self_heal_republished.labels(healer.what)

    async def step(self) -> None:
        """A round, if one is due. Raises what storage raises."""
        last = await self._database.read(lambda uow: uow.heal_rounds.last())
        if last is not None and self._context().now - last.started_at < self._settings.interval_s * _MICROS:
            return
        try:
            await self.round()
        except RoundBusy:
            return
        except (StorageError, AdapterError):
            raise
        except Exception:  # a loop that heals must outlive what it meets
            log.exception("self_heal_round_failed")

    @property
    def look_s(self) -> float:
        """How long between two looks whether a round is due."""
        return min(_LOOK_S, self._settings.interval_s / 4)

    async def round(self, *, dry_run: bool = False, run: NewRun | None = None) -> Round:
        """One round now. What finds something is recorded as *run*, or as a run of the system's own.

        Raises :class:`RoundBusy`, :class:`LeaseLost`, and what storage raises.
        """
        context = self._context()
        lease = await self._write(lambda uow: uow.leases.take(LEASE, holder=context.daemon_id, ttl_s=_LEASE_S))
        if lease is None:
            raise RoundBusy
        try:
            return await self._recorded_round(lease, Round(dry_run, self._settings.threshold_s), run, context)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_WORDS_S):
                await self._give_back(lease)

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self._database.write(lambda uow: uow.leases.release(lease))
        except StorageError as error:
            log.warning("lease_not_released", lease=LEASE, reason=str(error))

    async def _recorded_round(self, lease: Lease, done: Round, run: NewRun | None, context: Context) -> Round:
        status = FAILED
        try:
            candidates = await self._find(done)
            if run is None and done.found and not done.dry_run:
                run = _system_run(context)
                await self._write(partial(_start, run))
            if not done.dry_run:
                for healer in self._healers:
                    await self._heal(healer, list(candidates.get(healer.what, ())), lease, done)
            status = SUCCEEDED
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_WORDS_S):
                await self._keep(done, run, status, context)
        return done

    async def _find(self, done: Round) -> Mapping[str, Mapping[str, int]]:
        """The candidates by sort. While it is not known who takes work, nothing that goes by deadlines is judged."""
        terms = await self._terms_now(done)
        context = self._context()
        found: dict[str, Mapping[str, int]] = {}
        for healer in self._healers:
            done.tallies[healer.what] = Tally()
            if healer.timed and terms is None:
                continue
            try:
                found[healer.what] = await self._database.read(
                    partial(healer.find, context=context, terms=terms or self._terms)
                )
            except StorageAway:
                raise
            except Exception:
                done.errors += 1
                log.exception("self_heal_failed", what=healer.what)
            else:
                done.tallies[healer.what].found = sum(found[healer.what].values())
        return found

    async def _terms_now(self, done: Round) -> HealTerms | None:
        try:
            await self._watch.look()
            return replace(self._terms, heard_until=await self._watch.heard_until())
        except AdapterError as error:
            log.warning("work_time_unknown", reason=str(error))
            done.errors += 1
            return None

    async def _heal(self, healer: Healer, ids: Sequence[str], lease: Lease, done: Round) -> None:
        for start in range(0, len(ids), _AT_ONCE):
            await self._heal_some(healer, ids[start : start + _AT_ONCE], lease, done)

    async def _heal_some(self, healer: Healer, ids: Sequence[str], lease: Lease, done: Round) -> None:
        """Heal *ids* together, apart from what makes that fail, so that one stops no other."""

        def heal(part: Sequence[str]) -> Coroutine[object, object, Healed]:
            return self._write(lambda uow: self._under_lease(healer, part, lease, uow))

        tally = done.tallies[healer.what]
        try:
            async for outcome in isolated(ids, heal, passing=(LeaseLost, StorageAway)):
                match outcome:
                    case Done(_, healed):
                        tally.republished += healed.republished
                        tally.given_up += healed.given_up
                        self._metrics.facts(healed.facts)
                        self._relay.wake_all()
                    case Poison(one, cause):
                        done.errors += 1
                        log.error("self_heal_failed", what=healer.what, id=one, exc_info=cause)
        except (LeaseLost, StorageAway):
            done.errors += 1
            raise

    def _under_lease(self, healer: Healer, ids: Sequence[str], lease: Lease, uow: UnitOfWork) -> Healed:
        if not uow.leases.still_held(lease):
            raise LeaseLost
        context = self._context()
        healed = healer.heal(ids, uow, context, self._terms)
        uow.outbox.add(healed.messages, owner=context.daemon_id, now=context.now)
        count(healed.counted, uow, context)
        # Every transaction that got this far has the whole time again.
        uow.leases.take(lease.name, holder=lease.holder, ttl_s=_LEASE_S)
        return healed

    async def _keep(self, done: Round, run: NewRun | None, status: str, context: Context) -> None:
        result = done.as_json()
        ended_at = self._context().now

        def write(uow: UnitOfWork) -> None:
            if not done.dry_run:
                uow.heal_rounds.record(HealRound(context.now, context.daemon_id, result))
            if run is not None:
                error = None if status == SUCCEEDED else _UNFINISHED.as_json()
                uow.ops_runs.finish(run.run_id, status=status, ended_at=ended_at, result=result, error=error)

        await self._write(write)
        self._tell(done, result)

    def _tell(self, done: Round, result: JsonObject) -> None:
        metrics = self._metrics
        for what, tally in done.tallies.items():
            if not done.dry_run:
                metrics.self_heal_found.labels(what).inc(tally.found)
                metrics.self_heal_republished.labels(what).inc(tally.republished)
        metrics.self_heal_errors.inc(done.errors)
        metrics.self_heal_seconds.observe(time.monotonic() - done.started)
        log.info("self_heal", **result)

    async def _write(self, work: Callable[[UnitOfWork], T]) -> T:
        """One transaction, repeated where two daemons met."""
        return await committed(self._database, work, repeats=ANSWERED)


def _start(run: NewRun, uow: UnitOfWork) -> None:
    uow.ops_runs.start(run)


def _system_run(context: Context) -> NewRun:
    return NewRun(
        run_id=context.new_id(),
        operation=OPERATION,
        parameters={},
        principal=SYSTEM,
        trace_id=None,
        daemon=context.daemon_id,
        started_at=context.now,
    )


_UNFINISHED: Final = problem(ErrorCode.UNAVAILABLE, "the round could not be finished")
