"""The daemon, put together: doors, relay and loops over one database and one connection; how they begin and end."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import structlog
from anyio.abc import TaskGroup

from adapters.nats.publisher import StreamPublisher
from adapters.nats.service import CommandService, serve
from adapters.nats.status_bucket import LanePublisher, StatusBucket
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.stored_messages import sequences_of_messages
from adapters.nats.streams.topology import ADVISORY_CONSUMER
from adapters.prices.prices import LayeredPrices
from contracts.gate.rules import GateRules
from contracts.subjects import DURABLE, Family, Subjects
from contracts.values.times import format_micros
from daemon.clock import new_id, now_micros
from daemon.commands.authorization import make_authenticator, make_guard, token_authenticator
from daemon.commands.command_endpoint import CommandEndpoint
from daemon.commands.routes import endpoints, operations, routes
from daemon.intake.after_commit import AfterCommit
from daemon.intake.gate_factory import import_rules, make_gate
from daemon.intake.ingest_authorization import IngestGuard
from daemon.intake.intake import Gatekeeper, Intake, IntakeLimits
from daemon.intake.reordering import OlderMessages
from daemon.intake.replay_source import NothingOlder, ReplayGate, ReplaySource
from daemon.maintenance.due_publications import DuePublications
from daemon.maintenance.loops import Heartbeat, NatsWatch, Trimmed, Trimmer, every
from daemon.maintenance.max_deliveries import GivenUpMessages
from daemon.maintenance.self_heal import SelfHeal
from daemon.maintenance.work_watch import WorkWatch
from daemon.observability.gauges import Gauges
from daemon.observability.health import HealthCheck
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Phase, Readiness
from daemon.operations.audit import OpsAudit
from daemon.operations.refusals import Refusals
from daemon.operations.table import OperationContext, OperationTable
from daemon.outbox.outbox_adoption import adopt_outbox
from daemon.outbox.relay import Relay, RelayLimits
from daemon.outbox.work_lane import WorkLane
from daemon.process.connections import Nats, ack_wait_s, provision_streams
from daemon.process.runtime_file import Runtime, remove_runtime, write_runtime
from daemon.process.systemd import Supervisor
from daemon.settings.model import Settings
from handlers.effects import Context, WorkTerms
from handlers.registry import CHANGES, FAMILIES
from storage.engine.database import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every part of the daemon is made from."""

    settings: Settings
    daemon_id: str
    subjects: Subjects
    rules: GateRules
    prices: LayeredPrices
    database: Database
    nats: Nats
    metrics: Metrics
    readiness: Readiness
    health: HealthCheck
    http_url: str
    work: WorkTerms

    def context(self) -> Context:
        """What a decision may need, as of now."""
        return Context(
            now=now_micros(),
            new_id=new_id,
            daemon_id=self.daemon_id,
            subjects=self.subjects,
            prices=self.prices,
            max_message_bytes=self.nats.client.max_payload,
            work=self.work,
        )


class Daemon:
    """Runs until told to stop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._supervisor = Supervisor.from_environment()
        self._publisher = StreamPublisher(parts.nats.client)
        self._status = StatusBucket(parts.nats.client, self._publisher)
        self._relay = self._make_relay()
        self._pulls = {family: self._make_pull(family) for family in DURABLE}
        self._intakes = [self._make_intake(family, pull) for family, pull in self._pulls.items()]
        self._audit = OpsAudit(parts.database, daemon_id=parts.daemon_id, new_id=new_id, clock=now_micros)
        self._heartbeat = Heartbeat(
            parts.database, daemon_id=parts.daemon_id, readiness=parts.readiness, on_alive=self._audit.settle
        )
        self._watch = self._make_work_watch()
        self._healing = SelfHeal(
            parts.database,
            settings=parts.settings.self_heal,
            context=parts.context,
            watch=self._watch,
            relay=self._relay,
            metrics=parts.metrics,
        )
        self._operating = OperationTable(self._ground_of_operations(), self._audit)
        self._door = self._make_door()
        self._service: CommandService | None = None

    @property
    def pulls(self) -> dict[Family, ContinuousPull]:
        return self._pulls

    async def run_until(self, stop: asyncio.Event) -> None:
        """Become ready, work until *stop*, then end in order. Raises what no loop can heal, as an exception group."""
        try:
            await self._run_until(stop)
        finally:
            remove_runtime(self._parts.settings.daemon.state_dir)

    async def _run_until(self, stop: asyncio.Event) -> None:
        async with anyio.create_task_group() as loops:
            await self._begin(loops)
            async with anyio.create_task_group() as intakes:
                for intake in self._intakes:
                    intakes.start_soon(intake.run)
                self._announce()
                await stop.wait()
                await self._end_intake()
            await self._flush()
            loops.cancel_scope.cancel()
        await self._farewell()

    async def _begin(self, loops: TaskGroup) -> None:
        parts = self._parts
        await adopt_outbox(parts.database, parts.settings.daemon.state_dir, parts.daemon_id)
        await self._heartbeat.beat()
        for pull in self._pulls.values():
            await pull.start()
        self._door.open(loops)
        self._service = await serve(
            parts.nats.client,
            version="1.0.0",
            queue_group="headgate",
            endpoints=endpoints(parts.subjects),
            take=self._door.take,
        )
        for loop in self._loops():
            loops.start_soon(loop)

    def _loops(self) -> Sequence[Callable[[], Coroutine[object, object, None]]]:
        parts = self._parts
        trimmer = Trimmer(
            parts.nats.client, self._trimmed(), interval_s=parts.settings.intake.trim_interval_s, metrics=parts.metrics
        )
        nats_watch = NatsWatch(
            parts.nats, parts.subjects, readiness=parts.readiness, metrics=parts.metrics, on_restart=self._write_runtime
        )
        gauges = Gauges(parts.database, parts.nats.client, list(self._pulls.values()), parts.metrics)
        return [
            self._relay.run,
            self._heartbeat.run,
            lambda: every(1.0, gauges.read_database),
            lambda: every(5.0, gauges.read_consumers),
            *self._operating.loops(),
            self._make_given_up().run,
            DuePublications(parts.database, parts.context, self._relay).run,
            lambda: every(self._watch.interval_s, self._watch.step),
            lambda: every(self._healing.look_s, self._healing.step),
            lambda: every(1.0, trimmer.step),
            nats_watch.keep_server,
            nats_watch.probe_server,
            nats_watch.end_when_closed,
            lambda: self._supervisor.keep_alive(lambda: True),
        ]

    def _trimmed(self) -> list[Trimmed]:
        """What producers and workers fill is trimmed; replays go by age, for whoever wants to look at them."""
        advisories = self._parts.subjects.advisory_stream
        filled = [pull for family, pull in self._pulls.items() if family is not Family.REPLAY]
        return [
            Trimmed(advisories, ADVISORY_CONSUMER),
            *(Trimmed(pull.stream, pull.consumer, advisories) for pull in filled),
        ]

    def _make_given_up(self) -> GivenUpMessages:
        parts = self._parts
        advisories = ContinuousPull(
            parts.nats.client,
            stream=parts.subjects.advisory_stream,
            consumer=ADVISORY_CONSUMER,
            prefix="",
            window=_ADVISORY_WINDOW,
            ack_wait_s=parts.settings.intake.ack_wait_s,
            recreate=partial(provision_streams, parts.settings, parts.nats, parts.subjects),
        )
        return GivenUpMessages(
            parts.nats.client,
            advisories,
            gate=self._make_gate(),
            subjects=parts.subjects,
            database=parts.database,
            context=parts.context,
            wake=self._relay.wake,
            metrics=parts.metrics,
        )

    def _announce(self) -> None:
        parts = self._parts
        parts.readiness.enter(Phase.RUNNING)
        self._write_runtime()
        self._supervisor.ready("ready")
        log.info("ready", pid=os.getpid(), http_url=parts.http_url, daemon=parts.daemon_id)

    def _write_runtime(self) -> None:
        parts = self._parts
        write_runtime(
            parts.settings.daemon.state_dir,
            Runtime(os.getpid(), parts.nats.url, parts.http_url, format_micros(now_micros())),
        )

    async def _end_intake(self) -> None:
        parts = self._parts
        parts.readiness.enter(Phase.STOPPING)
        self._supervisor.stopping("stopping")
        log.info("stopping")
        remove_runtime(parts.settings.daemon.state_dir)
        if self._service is not None:
            await self._service.stop()
        with anyio.move_on_after(parts.settings.daemon.stop_timeout_s):
            await self._door.finish()
        for intake, pull in zip(self._intakes, self._pulls.values(), strict=True):
            intake.stop()
            await pull.drain()

    async def _flush(self) -> None:
        with anyio.move_on_after(self._parts.settings.daemon.stop_timeout_s):
            await self._relay.flush()

    async def _farewell(self) -> None:
        with anyio.move_on_after(self._parts.settings.daemon.stop_timeout_s):
            await self._heartbeat.end()
        log.info("stopped")

    # -- the parts

    def _make_relay(self) -> Relay:
        parts = self._parts
        status = parts.subjects.status_lane
        lanes = {status, *(parts.subjects.lane(f"{family}.x") for family in _RELAYED)}
        return Relay(
            database=parts.database,
            publisher=LanePublisher(self._publisher, {status: self._status}),
            find_messages=self._find_messages,
            owner=parts.daemon_id,
            lanes=sorted(lanes),
            limits=RelayLimits(parts.settings.outbox.max_batch, parts.settings.outbox.backoff_max_s),
            metrics=parts.metrics,
            clock=now_micros,
            keepers={
                parts.subjects.stream(Family.WORK): WorkLane(
                    parts.nats.client, parts.database, parts.subjects, now_micros
                )
            },
        )

    def _make_work_watch(self) -> WorkWatch:
        parts = self._parts
        return WorkWatch(
            parts.nats.client,
            parts.database,
            parts.subjects,
            context=parts.context,
            relay=self._relay,
            metrics=parts.metrics,
            interval_s=min(_WATCH_S, parts.settings.self_heal.interval_s),
        )

    async def _find_messages(self, stream: str, subject: str, ids: frozenset[str], not_before: int) -> dict[str, int]:
        return await sequences_of_messages(self._parts.nats.client, stream, subject, ids, not_before=not_before)

    def _make_pull(self, family: Family) -> ContinuousPull:
        parts = self._parts
        return ContinuousPull(
            parts.nats.client,
            stream=parts.subjects.stream(family),
            consumer=parts.subjects.consumer(family),
            prefix=parts.subjects.prefix,
            window=parts.settings.intake.window,
            ack_wait_s=ack_wait_s(parts.settings, family),
            recreate=partial(provision_streams, parts.settings, parts.nats, parts.subjects),
        )

    def _make_intake(self, family: Family, pull: ContinuousPull) -> Intake:
        parts = self._parts
        observer = AfterCommit(
            name=family,
            nc=parts.nats.client,
            rules=parts.rules,
            subjects=parts.subjects,
            relay=self._relay,
            metrics=parts.metrics,
            readiness=parts.readiness,
            clock=now_micros,
            new_id=new_id,
        )
        replays = family is Family.REPLAY
        return Intake(
            source=ReplaySource(pull, parts.database, parts.metrics) if replays else pull,
            gate=self._make_replay_gate() if replays else self._make_gate(),
            database=parts.database,
            families=FAMILIES,
            context=parts.context,
            observer=observer,
            limits=IntakeLimits(
                max_batch=parts.settings.intake.max_batch,
                ack_wait_s=ack_wait_s(parts.settings, family),
            ),
            older=NothingOlder() if replays else OlderMessages(parts.nats.client, pull.stream, pull.consumer),
        )

    def _make_replay_gate(self) -> Gatekeeper:
        return ReplayGate(self._make_gate(), make_gate(self._parts.settings, import_rules(self._parts.rules)))

    def _make_gate(self) -> Gatekeeper:
        settings = self._parts.settings
        gate = make_gate(settings, self._parts.rules)
        return IngestGuard(gate, token_authenticator(settings)) if settings.auth.ingest == "jwt" else gate

    def _ground_of_operations(self) -> OperationContext:
        parts = self._parts
        return OperationContext(
            settings=parts.settings,
            daemon_id=parts.daemon_id,
            subjects=parts.subjects,
            rules=parts.rules,
            database=parts.database,
            nc=parts.nats.client,
            clock=now_micros,
            context=parts.context,
            wake=self._relay.wake,
            count=parts.metrics.facts,
        )

    def _make_door(self) -> CommandEndpoint:
        parts = self._parts
        return CommandEndpoint(
            routes=routes(operations(parts.health, self._audit, parts.database, self._healing, self._operating)),
            guard=make_guard(parts.settings),
            rules=parts.rules,
            database=parts.database,
            context=parts.context,
            metrics=parts.metrics,
            replies=self._replies,
            changes=CHANGES,
            wake=self._relay.wake,
            refused=Refusals(self._audit, make_authenticator(parts.settings), parts.rules).note,
        )

    def _replies(self) -> CommandService:
        if self._service is None:
            raise RuntimeError("a request came before the service was there")
        return self._service


_WATCH_S = 5.0
_ADVISORY_WINDOW = 100
_RELAYED = (Family.WORK, Family.EVENT, Family.DEAD, Family.REPLAY)
