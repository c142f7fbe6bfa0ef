"""The bridge as a process: from its settings to its last acknowledgement."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog
import uvloop
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.cancellation import cancel_and_wait
from adapters.errors import AdapterError
from adapters.nats.connection import ConnectionWatch, close_broker, connect, make_broker
from adapters.providers import Provider
from contracts import subjects as subject_of
from contracts.subjects import Family, Subjects
from contracts.values.work import WorkType
from daemon.bridge.callbacks import Callbacks
from daemon.bridge.endpoints import bridge_app
from daemon.bridge.job_views import FreshInputs, JobViews
from daemon.bridge.journal import open_journal
from daemon.bridge.metrics import BridgeMetrics
from daemon.bridge.plans import daemon_url, nats_url, plans_of, provider_of
from daemon.bridge.provisioning import find_consumer, wait_for_consumer, wait_for_streams
from daemon.bridge.tools import Pace, Patience, Plan, Tools
from daemon.bridge.worker import CANCELLED_EVENT, BridgeWorker
from daemon.clock import new_id, now_micros
from daemon.errors import StartError
from daemon.http.app import serving
from daemon.observability.logs import configure_logs
from daemon.observability.readiness import Phase, Readiness
from daemon.settings.model import Settings
from domain.bridge.predictions import FIRST_WAIT_S

log = structlog.get_logger(__name__)

_FETCH_S: Final = 5.0
_UNSUBSCRIBE_S: Final = 1.0
_STOP_GRACE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """What operators need not set."""

    ack_wait_s: float = 30.0
    """How long after the death of a bridge its work is delivered to another one."""
    slots: int = 32
    heartbeat_s: float = 30.0
    first_wait_s: float = FIRST_WAIT_S
    read_timeout_s: float = 30.0
    check_s: float = 15.0
    """How often the consumers are looked after."""
    authorization: str = ""
    """A token of the daemon with which asset URLs are asked for where ``auth.mode`` is ``jwt``."""


DEFAULT_TUNING: Final = Tuning()


def run(settings: Settings, *, authorization: str = "") -> int:
    """Run the bridge of Replicate until a signal; the exit code. Raises :class:`StartError` where it cannot start.

    ``authorization`` is a token of the daemon with the scope ``jobs:read``, where it asks for one.
    """
    configure_logs(settings.log)
    return uvloop.run(_until_signal(settings, Tuning(authorization=authorization)))


async def _until_signal(settings: Settings, tuning: Tuning) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        async with bridge(settings, tuning) as running:
            await _first(stop, running.over)
    return 0


@dataclass(slots=True)
class Running:
    """A bridge that takes work. ``over`` is set when it should begin anew: the daemon's server has another address, or
    one of its own loops broke."""

    nats_url: str
    metrics: BridgeMetrics
    http_url: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def ended(self, task: asyncio.Task[None]) -> None:
        """A background task came to an end; one that broke takes the bridge with it."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_task_broke", task=task.get_name(), exc_info=error)
            self.over.set()


@asynccontextmanager
async def bridge(settings: Settings, tuning: Tuning = DEFAULT_TUNING) -> AsyncIterator[Running]:
    """A bridge that takes work from entry to exit. Raises :class:`StartError`."""
    plans = plans_of(settings)
    provider = provider_of(settings, read_timeout_s=tuning.read_timeout_s)
    url = await nats_url(settings)
    watch = ConnectionWatch()
    metrics = BridgeMetrics(provider.name)
    try:
        broker = make_broker(
            url,
            watch=watch,
            name=f"headgate-bridge-{provider.name}",
            credentials=settings.nats.credentials,
            inbox_prefix=settings.limits.reply_prefixes[0],
        )
        client = await connect(broker, url, watch, settings.nats.connect_timeout_s)
        try:
            async with _working(settings, tuning, plans, provider, broker, client, Running(url, metrics)) as running:
                yield running
        finally:
            await close_broker(broker, watch)
    except AdapterError as error:
        raise StartError(f"bridge: {error}") from error
    except NatsError as error:
        raise StartError(f"bridge: NATS: {type(error).__name__}: {error}") from error
    finally:
        await provider.close()


@asynccontextmanager
async def _working(
    settings: Settings,
    tuning: Tuning,
    plans: Mapping[WorkType, Plan],
    provider: Provider,
    broker: NatsBroker,
    client: Client,
    running: Running,
) -> AsyncIterator[Running]:
    subjects = Subjects(settings.nats.prefix)
    tools = await _tools(settings, tuning, subjects, provider, client, running.metrics)
    worker = BridgeWorker(plans, tools, subjects, ack_wait_s=tuning.ack_wait_s, slots=tuning.slots)
    await _subscribe(broker, worker, plans, subjects, settings)
    readiness = Readiness(lambda ready: log.info("readiness", ready=ready))
    app = bridge_app(broker, client, readiness, running.metrics.registry)
    port = settings.bridge.replicate.http_port
    async with serving(app, settings.http, port=port, on_closed=running.metrics.http_closed) as running.http_url:
        await broker.start()
        background = [
            asyncio.create_task(_sweep(worker), name="sweep"),
            asyncio.create_task(_take_care(settings, tuning, plans, client, readiness, running), name="care"),
            asyncio.create_task(_live(worker, tuning), name="live"),
        ]
        for task in background:
            task.add_done_callback(running.ended)
        readiness.enter(Phase.RUNNING)
        log.info("ready", provider=provider.name, work=[*map(str, plans)], http_url=running.http_url)
        try:
            yield running
        finally:
            readiness.enter(Phase.STOPPING)
            await cancel_and_wait(background)
            await _stop(broker, worker)
            log.info("stopped")


async def _stop(broker: NatsBroker, worker: BridgeWorker) -> None:
    """First no more messages come in, then the work in hand is left: what is given back must not come back to us."""
    await worker.begin_stop()
    for subscriber in broker.subscribers:
        try:
            async with asyncio.timeout(_UNSUBSCRIBE_S):
                await subscriber.stop()
        except (NatsError, TimeoutError) as error:
            log.warning("subscription_not_ended", reason=type(error).__name__)
    await worker.stop(_STOP_GRACE_S)


async def _tools(
    settings: Settings,
    tuning: Tuning,
    subjects: Subjects,
    provider: Provider,
    client: Client,
    metrics: BridgeMetrics,
) -> Tools:
    js = client.jetstream()
    producer = f"bridge-{provider.name}"
    secrets = settings.callbacks.secrets
    await wait_for_streams(js, subjects, settings.nats.connect_timeout_s)
    views = JobViews(client, subjects)
    return Tools(
        provider=provider,
        journal=await open_journal(js, subjects, provider.name, replicas=settings.nats.replicas),
        callbacks=Callbacks(
            js,
            producer=producer,
            secret=secrets[0].get_secret_value() if secrets else "",
            max_bytes=settings.contracts.max_bytes,
            clock=now_micros,
            new_id=new_id,
        ),
        views=views,
        fresh_inputs=FreshInputs(
            client,
            subjects,
            views,
            producer=producer,
            authorization=tuning.authorization,
            clock=now_micros,
            new_id=new_id,
        ),
        metrics=metrics,
        patience=Patience(),
        pace=Pace(settings.bridge.replicate.poll_interval_s, tuning.heartbeat_s, tuning.first_wait_s),
        owner=new_id(),
        clock=now_micros,
        give_back=lambda delivery: client.publish(delivery, b"-NAK"),
    )


async def _subscribe(
    broker: NatsBroker,
    worker: BridgeWorker,
    plans: Mapping[WorkType, Plan],
    subjects: Subjects,
    settings: Settings,
) -> None:
    js = broker.connection.jetstream()
    for work_type in plans:
        consumer = await wait_for_consumer(js, subjects, work_type, settings.nats.connect_timeout_s)

        # One message at a time is fetched, and the next one only when there is room: what waits here is not kept alive.
        subscriber = broker.subscriber(
            subjects.full(subject_of.work(work_type)),
            durable=consumer,
            stream=JStream(subjects.stream(Family.WORK), declare=False),
            pull_sub=PullSub(batch_size=1, timeout=_FETCH_S),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            inbox_prefix=f"{settings.limits.reply_prefixes[0].removesuffix('.')}.".encode(),
        )
        subscriber(_taker(worker, work_type))
    cancelled = broker.subscriber(
        subjects.full(subject_of.event("job", "*", CANCELLED_EVENT)), ack_policy=AckPolicy.MANUAL, no_reply=True
    )
    cancelled(worker.job_cancelled)


def _taker(worker: BridgeWorker, work_type: WorkType) -> Callable[[NatsMessage], Awaitable[None]]:
    """A handler whose only parameter is the message: the frame would read any other from the body."""

    async def take(message: NatsMessage) -> None:
        await worker.take(message, work_type)

    return take


async def _sweep(worker: BridgeWorker) -> None:
    try:
        await worker.withdraw_abandoned()
    except NatsError as error:
        log.warning("abandoned_work_not_looked_for", reason=type(error).__name__)


async def _live(worker: BridgeWorker, tuning: Tuning) -> None:
    """Tell other bridges that this one lives, and take over from those that died: their messages would come back only
    when the consumer's ack_wait has run out, which is as long as the work's deadline."""
    while True:
        try:
            await worker.beat()
            await worker.give_back_orphans(tuning.ack_wait_s)
        except NatsError as error:
            log.warning("orphans_not_looked_for", reason=type(error).__name__)
        await asyncio.sleep(tuning.ack_wait_s / 3)


async def _take_care(
    settings: Settings,
    tuning: Tuning,
    plans: Mapping[WorkType, Plan],
    client: Client,
    readiness: Readiness,
    running: Running,
) -> None:
    """A consumer that is deleted under a subscription leaves it silent until the daemon has made it again."""
    subjects, js = Subjects(settings.nats.prefix), client.jetstream()
    while True:
        await asyncio.sleep(tuning.check_s)
        try:
            for work_type in plans:
                if await find_consumer(js, subjects, work_type) is None:
                    raise StartError(f"no consumer takes {work_type}")
        except (NatsError, StartError) as error:
            log.warning("consumers_not_checked", reason=str(error) or type(error).__name__)
            readiness.block("bridge", "nats", type(error).__name__)
            if not client.is_connected and daemon_url(settings) not in {None, running.nats_url}:
                running.over.set()
        else:
            readiness.clear("bridge")


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
