"""The composition root: the only file that knows every part of the daemon.

Settings, storage, migrations, NATS, streams, consumers, then the parts over them: any failure is one clear line and
exit code 1, and the daemon was never ready. In which order the parts begin and end is said in ``lifecycle``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog
import uvloop
from faststream.asgi import AsgiFastStream

from adapters.errors import AdapterError
from adapters.nats.connection import close_broker
from adapters.nats.streams.large_turn import LargeTurn
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.topology import work_consumers
from adapters.notifiers.base import Notifier
from contracts.errors import JsonObject
from contracts.subjects import DURABLE, Family, Subjects
from daemon.assets.assembly import asset_parts
from daemon.clock import new_id, now_micros
from daemon.commands.assembly import make_endpoint
from daemon.commands.command_server import CommandServer
from daemon.commands.routes import endpoints
from daemon.contract_document import contract_document
from daemon.errors import StartError
from daemon.foundation import (
    Foundation,
    gate_rules,
    load_prices,
    signed_links,
    tell_settings_without_effect,
    work_terms,
)
from daemon.http.app import build_app, serving
from daemon.http.console import USER, Access, Console
from daemon.http.dispatch import Dispatch
from daemon.intake.assembly import given_up_messages, intake_of, pull_of
from daemon.intake.in_hand import InHand, in_hand_of
from daemon.intake.intake import Intake
from daemon.intake.predecessor import give_back_held
from daemon.lifecycle import Announcement, Daemon, Parts
from daemon.maintenance.lease_heartbeat import LeaseHeartbeat
from daemon.maintenance.loop import Loop, LoopRunner, Service
from daemon.maintenance.nats_probe import NatsProbe
from daemon.maintenance.self_heal import SelfHeal
from daemon.maintenance.table import background_loops, make_work_watch
from daemon.maintenance.work_consumers import KEEP_S, WorkConsumers
from daemon.observability.assembly import add_checks
from daemon.observability.health import HealthCheck
from daemon.observability.log_output import LineOutput
from daemon.observability.logs import adopt_library_loggers, configure_logs, writes_together
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.observability.story_log import LoggedDatabase, StoryLog
from daemon.observability.tracing import make_traces
from daemon.operations.context import OperationContext
from daemon.operations.table import serve_operations
from daemon.outbox.assembly import make_relay
from daemon.outbox.relay import Relay
from daemon.process.connections import (
    Nats,
    ServerStart,
    connect_nats,
    migrated_database,
    provision_at_start,
    stream_limits,
)
from daemon.process.interpreter import freeze_heap, return_large_memory, stop_on_signals, tune_interpreter
from daemon.process.state_files import secure_state_files
from daemon.process.state_lock import StateLock
from daemon.process.systemd import Supervisor
from daemon.runs.audit import OpsAudit
from daemon.runs.runs import Runs
from daemon.settings.model import Settings
from daemon.subscribers.assembly import low_rate_subscribers, make_notifiers
from daemon.version import VERSION
from storage.engine.failures import StorageAway, StorageError
from storage.ledger.pricing_versions import PricingVersion

if TYPE_CHECKING:
    from adapters.prices.prices import LayeredPrices
    from daemon.observability.traces import Traces

log = structlog.get_logger(__name__)


def run(settings: Settings) -> int:
    """Run the daemon until a signal; the process's exit code. Raises :class:`StartError` where it cannot start."""
    log_output = configure_logs(settings.log)
    tune_interpreter()
    return_large_memory()
    with StateLock(settings.daemon.state_dir):
        secure_state_files(settings.daemon.state_dir)
        return uvloop.run(_serve(settings, log_output))


async def _serve(settings: Settings, log_output: LineOutput) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop)
    try:
        async with AsyncExitStack() as stack:
            daemon = await _start(settings, stack, log_output)
            freeze_heap()
            await daemon.run_until(stop)
    except* (AdapterError, StorageError) as failures:
        raise StartError(*(_line(failure) for failure in _leaves(failures))) from None
    except* OSError as failures:
        lines = [f"a connection or a file failed: {type(each).__name__}: {each}" for each in _leaves(failures)]
        raise StartError(*lines) from None
    return 0


def _line(failure: BaseException) -> str:
    """What a driver says of a connection that broke does not say of which one."""
    return f"the database is away: {failure}" if isinstance(failure, StorageAway) else str(failure)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _start(settings: Settings, stack: AsyncExitStack, log_output: LineOutput) -> Daemon:
    """Bring up what the daemon stands on, in order, and put its parts together over it."""
    metrics = Metrics()
    metrics.watch_log(log_output)
    readiness = Readiness(metrics.ready.set)
    health = HealthCheck()
    subjects = Subjects(settings.nats.prefix)
    http_over = asyncio.Event()
    console, http_app, dispatch, http_url = await _listen(settings, stack, http_over, metrics, readiness, health)
    starting = ServerStart(settings, console.websocket_user())
    stack.push_async_callback(starting.stop)
    tell_settings_without_effect(settings)
    prices = load_prices(settings)
    database, stories, revision = await _storage(settings, stack, log_output, prices)
    nats = await connect_nats(
        settings,
        await starting.server(),
        on_error=lambda _name: metrics.nats_errors.inc(),
        on_change=lambda there: _connection_changed(readiness, there),
    )
    console.reaches_nats_by(partial(_console_access, settings, nats))
    stack.push_async_callback(close_broker, nats.broker, nats.watch)
    http_app.add_broker(nats.broker)
    adopt_library_loggers()
    await provision_at_start(settings, nats, subjects)
    base = Foundation(
        traces=_traces(stack),
        settings=settings,
        daemon_id=new_id(),
        subjects=subjects,
        rules=gate_rules(settings),
        prices=prices,
        database=database,
        stories=stories,
        nats=nats,
        metrics=metrics,
        readiness=readiness,
        health=health,
        http_url=http_url,
        console=console,
        work=work_terms(settings),
        links=signed_links(settings, http_url),
    )
    kept = WorkConsumers(nats.client, work_consumers(subjects, stream_limits(settings)))
    parts = _assemble(base, kept, dispatch)
    add_checks(base, parts.pulls, kept, revision)
    # The last requests have as long as the server takes to end: the two do not wait for each other.
    stack.callback(http_over.set)
    return Daemon(parts)


async def _storage(
    settings: Settings, stack: AsyncExitStack, log_output: LineOutput, prices: "LayeredPrices"
) -> tuple[LoggedDatabase, StoryLog, str]:
    """The migrated database, which knows the price lists; the log of stories beside it; the database's revision."""
    stored, revision = await migrated_database(settings, stack)
    stories = StoryLog(write=writes_together(settings.log, log_output))
    database = LoggedDatabase(stored, stories)
    versions = [PricingVersion(version, source, now_micros()) for version, source in prices.sources]
    await database.write(lambda uow: uow.pricing_versions.record(versions))
    return database, stories, revision


def _traces(stack: AsyncExitStack) -> "Traces | None":
    traces = make_traces(VERSION)
    if traces is not None:
        stack.push_async_callback(asyncio.to_thread, traces.close)
    return traces


async def _listen(
    settings: Settings,
    stack: AsyncExitStack,
    over: asyncio.Event,
    metrics: Metrics,
    readiness: Readiness,
    health: HealthCheck,
) -> tuple[Console, AsgiFastStream, Dispatch, str]:
    """Serve HTTP first: whether the daemon lives and is ready can be asked from then on."""
    console = Console(settings, version=VERSION, clock=now_micros)
    http_app = build_app(
        readiness=readiness,
        measure=partial(_dependencies, health),
        registry=metrics.registry,
        contract=partial(contract_document, Subjects(settings.nats.prefix)),
        console=console,
    )
    dispatch = Dispatch(http_app)
    http_url = await stack.enter_async_context(
        serving(dispatch, settings.http, port=settings.http.port, on_closed=metrics.http_closed, over=over)
    )
    console.listens_at(http_url)
    return console, http_app, dispatch, http_url


def _assemble(base: Foundation, kept: WorkConsumers, dispatch: Dispatch) -> Parts:
    settings, database = base.settings, base.database
    supervisor = Supervisor.from_environment()
    announcement = Announcement(
        settings,
        daemon_id=base.daemon_id,
        nats=base.nats,
        http_url=base.http_url,
        console=base.console,
        readiness=base.readiness,
        supervisor=supervisor,
    )
    relay = make_relay(base)
    files = asset_parts(base, relay.wake)
    for prefix, app in files.routes.items():
        dispatch.add(prefix, app)
    taking = _take_in(base, relay)
    audit = OpsAudit(database, daemon_id=base.daemon_id, new_id=new_id, clock=now_micros, reads=settings.audit.reads)
    heartbeat = LeaseHeartbeat(database, daemon_id=base.daemon_id, readiness=base.readiness, on_alive=audit.write_owed)
    watch = make_work_watch(base, relay)
    healing = SelfHeal(
        database, settings=settings.self_heal, context=base.context, watch=watch, relay=relay, metrics=base.metrics
    )
    runs = Runs(database, daemon_id=base.daemon_id, clock=now_micros)
    notifiers = make_notifiers(settings)
    served = serve_operations(_operation_context(base, relay, audit, runs, healing, notifiers))
    probe_loop = _nats_probe(base, relay, announcement)
    loops = background_loops(base, relay, taking.pulls, heartbeat, runs, watch, healing, probe_loop)
    return Parts(
        settings=settings,
        daemon_id=base.daemon_id,
        database=database,
        announcement=announcement,
        heartbeat=heartbeat,
        relay=relay,
        pulls=taking.pulls,
        in_hand=taking.in_hand,
        give_back_held=taking.give_back_held,
        intakes=taking.intakes,
        commands=CommandServer(
            base.nats.client,
            version=VERSION,
            endpoints=endpoints(base.subjects),
            make_endpoint=partial(make_endpoint, base, relay, audit, served, files.commands),
        ),
        loops=[*loops, Loop("work-consumers", KEEP_S, kept.step), *files.loops],
        services=_services(base, relay, runs, notifiers, probe_loop, supervisor),
        runner=LoopRunner(base.metrics),
    )


class _TakingIn(NamedTuple):
    """What takes messages in."""

    pulls: dict[Family, ContinuousPull]
    in_hand: InHand
    intakes: Sequence[Intake]
    give_back_held: Callable[[], Awaitable[None]] | None


def _take_in(base: Foundation, relay: Relay) -> _TakingIn:
    large = LargeTurn()
    pulls = {family: pull_of(base, family, large) for family in DURABLE}
    in_hand, predecessor_died = in_hand_of(base.settings.daemon.state_dir)
    intakes = [intake_of(base, relay, in_hand, family, pull) for family, pull in pulls.items()]
    give_back = partial(give_back_held, in_hand, pulls.values(), base.database, base.daemon_id)
    # An embedded server forgets at its own end what was given back to it, however orderly the daemon ended.
    may_be_held = predecessor_died or base.nats.server is not None
    return _TakingIn(pulls, in_hand, intakes, give_back if may_be_held else None)


def _nats_probe(base: Foundation, relay: Relay, announcement: Announcement) -> NatsProbe:
    return NatsProbe(
        base.nats,
        readiness=base.readiness,
        metrics=base.metrics,
        on_restart=announcement.write_runtime,
        probe=base.probe,
        provision=base.provision,
        on_made_again=relay.retry_now,
    )


def _services(
    base: Foundation,
    relay: Relay,
    runs: Runs,
    notifiers: Mapping[str, Notifier],
    probe_loop: NatsProbe,
    supervisor: Supervisor,
) -> Sequence[Service]:
    return [
        Service("outbox-relay", relay.run),
        Service("runs", runs.run),
        Service("subscribers", low_rate_subscribers(base, notifiers, given_up_messages(base, relay)).run),
        Service("embedded-server", probe_loop.keep_server),
        Service("connection", probe_loop.end_when_closed),
        Service("systemd-watchdog", partial(supervisor.keep_alive, lambda: True)),
    ]


def _operation_context(
    base: Foundation,
    relay: Relay,
    audit: OpsAudit,
    runs: Runs,
    healing: SelfHeal,
    notifiers: Mapping[str, Notifier],
) -> OperationContext:
    return OperationContext(
        settings=base.settings,
        daemon_id=base.daemon_id,
        subjects=base.subjects,
        rules=base.rules,
        database=base.database,
        nc=base.nats.client,
        clock=now_micros,
        context=base.context,
        wake=relay.wake,
        count=base.metrics.facts,
        audit=audit,
        runs=runs,
        health=base.health,
        healing=healing,
        notifiers=notifiers,
        console=base.console,
    )


async def _dependencies(health: HealthCheck) -> JsonObject:
    return dict((await health.recent()).dependencies)


def _console_access(settings: Settings, nats: Nats) -> Access | None:
    """How the console reaches NATS: the embedded server's user for pages, or what the person brings along."""
    server, ws_url = nats.server, settings.console.ws_url
    if server is None:
        return Access(ws_url)
    return Access(ws_url or server.websocket_url, USER, server.websocket_secret) if server.websocket_url else None


def _connection_changed(readiness: Readiness, there: bool) -> None:
    if there:
        readiness.clear("connection")
    else:
        readiness.block("connection", "nats", "disconnected")
