"""The composition root: the order in which everything starts, and what a failure to start looks like.

Settings, storage, migrations, NATS, streams, consumers, ready: any failure is one clear line and exit code 1, and the
daemon was never ready. A second signal ends the process at once.
"""

import asyncio
import gc
import os
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial

import structlog
import uvloop

from adapters.errors import AdapterError
from adapters.nats.probe import probe
from adapters.prices.price_lists import PriceListError
from adapters.prices.prices import LayeredPrices, load_price_book
from contracts.errors import JsonObject
from contracts.gate.rules import GateRules, Mode
from contracts.registry import REGISTRY
from contracts.schemas.asyncapi import asyncapi
from contracts.subjects import Subjects
from contracts.values.work import WorkType
from daemon.clock import new_id, now_micros
from daemon.errors import StartError
from daemon.http.app import build_app, serving
from daemon.lifecycle import Daemon, Parts
from daemon.observability import dependency_checks as checks
from daemon.observability.health import HealthCheck, disk_check
from daemon.observability.logs import adopt_library_loggers, configure_logs
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.process.connections import Nats, close_broker, migrated_database, provision_streams, start_nats
from daemon.process.state_lock import StateLock
from daemon.settings.model import Settings
from handlers.effects import WorkTerms
from storage.engine.database import Database
from storage.engine.failures import StorageError
from storage.ledger.pricing_versions import PricingVersion

log = structlog.get_logger(__name__)

_SWITCH_INTERVAL_S = 0.001


def run(settings: Settings) -> int:
    """Run the daemon until a signal; the process's exit code. Raises :class:`StartError` where it cannot start."""
    configure_logs(settings.log)
    _tune_interpreter()
    with StateLock(settings.daemon.state_dir):
        return uvloop.run(_serve(settings))


def _tune_interpreter() -> None:
    """What the event loop and the database threads share: the interpreter lock and the collector.

    The collector's default thresholds walk the whole heap every few batches.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(50_000, 20, 50)


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    _on_signals(stop)
    try:
        async with AsyncExitStack() as stack:
            daemon = await _start(settings, stack)
            gc.collect()
            gc.freeze()
            gc.enable()
            await daemon.run_until(stop)
    except* (AdapterError, StorageError) as failures:
        raise StartError(*(str(failure) for failure in _leaves(failures))) from None
    return 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _start(settings: Settings, stack: AsyncExitStack) -> Daemon:
    metrics = Metrics()
    readiness = Readiness(metrics.ready.set)
    health = HealthCheck()
    subjects = Subjects(settings.nats.prefix)
    http_app = build_app(
        readiness=readiness,
        measure=partial(_dependencies, health),
        registry=metrics.registry,
        contract=asyncapi(REGISTRY, subjects),
    )
    http_url = await stack.enter_async_context(serving(http_app, host=settings.http.host, port=settings.http.port))
    prices = _load_prices(settings)
    database, revision = await migrated_database(settings, stack)
    versions = [PricingVersion(version, source, now_micros()) for version, source in prices.sources]
    await database.write(lambda uow: uow.pricing_versions.record(versions))
    nats = await start_nats(
        settings,
        stack,
        on_error=lambda _name: metrics.nats_errors.inc(),
        on_change=lambda there: _connection_changed(readiness, there),
    )
    stack.push_async_callback(close_broker, nats.broker)
    http_app.add_broker(nats.broker)
    adopt_library_loggers()
    await provision_streams(settings, nats, subjects)
    daemon = Daemon(
        Parts(
            settings=settings,
            daemon_id=new_id(),
            subjects=subjects,
            rules=_gate_rules(settings),
            prices=prices,
            database=database,
            nats=nats,
            metrics=metrics,
            readiness=readiness,
            health=health,
            http_url=http_url,
            work=_work_terms(settings),
        )
    )
    _add_checks(health, daemon, database, revision, nats, subjects, settings)
    return daemon


async def _dependencies(health: HealthCheck) -> JsonObject:
    return dict((await health.recent()).dependencies)


def _load_prices(settings: Settings) -> LayeredPrices:
    try:
        return load_price_book(settings.pricing.files)
    except PriceListError as error:
        raise StartError(f"pricing.files: {error}") from None


def _gate_rules(settings: Settings) -> GateRules:
    rules = GateRules(
        mode=Mode(settings.contracts.mode),
        compat_until=settings.contracts.compat_until,
        max_bytes=settings.contracts.max_bytes,
        prefix=settings.nats.prefix,
        reply_prefixes=settings.limits.reply_prefixes,
    )
    if rules.mode is Mode.COMPAT and not rules.compat_at(now_micros()):
        log.warning("compat_mode_is_over", compat_until=str(rules.compat_until), behaves_as="strict")
    elif rules.mode is Mode.COMPAT:
        log.warning("compat_mode", compat_until=str(rules.compat_until or "no end"))
    return rules


def _work_terms(settings: Settings) -> WorkTerms:
    deadlines_s = settings.work.deadlines_s()
    return WorkTerms(
        deadline_s={work_type: deadlines_s[work_type] for work_type in WorkType},
        max_attempts=settings.self_heal.max_attempts,
        reorder_s=settings.callbacks.reorder_s,
    )


def _connection_changed(readiness: Readiness, there: bool) -> None:
    if there:
        readiness.clear("connection")
    else:
        readiness.block("connection", "nats", "disconnected")


def _add_checks(
    health: HealthCheck,
    daemon: Daemon,
    database: Database,
    revision: str,
    nats: Nats,
    subjects: Subjects,
    settings: Settings,
) -> None:
    health.add("nats", checks.nats_check(partial(probe, nats.client, subjects, server=nats.server)))
    health.add("database", checks.database_check(database))
    health.add("migrations", checks.migrations_check(database, revision))
    health.add("repositories", checks.repositories_check(database))
    health.add("outbox", checks.outbox_check(database, now_micros, oldest_s=60.0))
    health.add("consumers", checks.consumers_check(daemon.pulls))
    health.add("disk", disk_check(settings.daemon.state_dir, least_bytes=256 * 2**20, least_share=0.02))


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
