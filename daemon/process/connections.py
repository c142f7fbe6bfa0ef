"""What the daemon stands on: the database and NATS, brought up in order, each failure one clear line."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
from faststream.nats import NatsBroker
from nats.aio.client import Client

from adapters.errors import JetStreamError
from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.server.server_configuration import WebsocketUser
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Limits, Topology, topology
from contracts.gate.receipts import OWN_INBOXES
from contracts.subjects import Family, Subjects
from contracts.values.work import WorkType
from daemon.settings.model import Settings
from daemon.transactions import chance
from domain.backoff import Backoff
from storage.engine import migration
from storage.engine.database import Database
from storage.engine.sqlite.database import SqliteDatabase
from storage.engine.sqlite.url import sqlite_file

log = structlog.get_logger(__name__)

_WINDOWS_IN_FLIGHT = 10
_LEAST_ACK_WAIT_S = 5.0
_AGAIN_FIRST_S = 0.25
_AGAIN_MOST_S = 2.0


def open_database(settings: Settings) -> Database:
    """The database of the settings; nothing is connected before its first use."""
    storage = settings.storage
    if (file := sqlite_file(storage.url)) is not None:
        return SqliteDatabase(file, busy_timeout_ms=storage.busy_timeout_ms, readers=storage.readers)
    from storage.engine.postgres.database import PostgresDatabase  # a daemon on SQLite does without its driver

    return PostgresDatabase(storage.url, busy_timeout_ms=storage.busy_timeout_ms, pool_size=storage.pool_size)


async def migrated_database(settings: Settings, stack: AsyncExitStack) -> tuple[Database, str]:
    """The database with its schema up to date, and the revision it is at."""
    status = await migration.upgrade(settings.storage.url)
    database = open_database(settings)
    stack.push_async_callback(database.close)
    weakness = await database.read(lambda uow: uow.lost_with_the_machine())
    if weakness is not None:
        log.warning("storage_not_durable", reason=weakness)
    return database, status.head


@dataclass(frozen=True, slots=True)
class Nats:
    """The connection, and the embedded server under it where there is one."""

    url: str
    broker: NatsBroker
    client: Client
    watch: ConnectionWatch
    server: EmbeddedServer | None


class ServerStart:
    """The start of the embedded server, going on while the database is brought up; nothing in external mode."""

    def __init__(self, settings: Settings, websocket: WebsocketUser | None) -> None:
        nats = settings.nats
        self._server: EmbeddedServer | None = None
        self._starting: asyncio.Task[None] | None = None
        if nats.mode == "embedded":
            self._server = EmbeddedServer(
                nats.store_dir, settings.daemon.state_dir, port=nats.port, sync=nats.sync, websocket=websocket
            )
            self._starting = asyncio.create_task(self._server.start(), name="embedded-server-start")

    async def server(self) -> EmbeddedServer | None:
        """The server, once it listens. Raises :class:`adapters.errors.EmbeddedServerError` where it cannot start."""
        if self._starting is not None:
            await self._starting
        return self._server

    async def stop(self) -> None:
        """Stop the server, however far it has come."""
        if self._server is None or self._starting is None:
            return
        self._starting.cancel()
        await asyncio.gather(self._starting, return_exceptions=True)
        await self._server.stop()


async def connect_nats(
    settings: Settings,
    server: EmbeddedServer | None,
    *,
    on_error: Callable[[str], None],
    on_change: Callable[[bool], None],
) -> Nats:
    """Connect to the embedded server, or to the one of the settings."""
    nats = settings.nats
    url = nats.url if server is None else server.url
    watch = ConnectionWatch(on_error=on_error, on_change=on_change)
    broker = make_broker(url, watch=watch, credentials=nats.credentials, inbox_prefix=OWN_INBOXES)
    client = await connect(broker, url, watch, nats.connect_timeout_s)
    return Nats(url, broker, client, watch, server)


def ack_wait_s(settings: Settings, family: Family) -> float:
    """How long the consumer of a family waits for an answer. Callbacks that a dead daemon had in hand come again while
    those after them still wait for them, with time to spare."""
    waits_s = settings.intake.ack_wait_s
    if family is not Family.CALLBACK:
        return waits_s
    return min(waits_s, max(_LEAST_ACK_WAIT_S, settings.callbacks.reorder_s / 3))


def stream_limits(settings: Settings) -> Limits:
    """What the settings say about streams and consumers."""
    deadlines_s = settings.work.deadlines_s()
    return Limits(
        max_bytes=settings.nats.stream_max_bytes,
        max_age_s=settings.nats.stream_max_age_days * 86_400,
        replicas=settings.nats.replicas,
        ack_wait_s=settings.intake.ack_wait_s,
        callback_ack_wait_s=ack_wait_s(settings, Family.CALLBACK),
        max_deliver=settings.intake.max_deliver,
        max_ack_pending=settings.intake.window * _WINDOWS_IN_FLIGHT,
        work_deadlines_s={work_type: deadlines_s[work_type] for work_type in WorkType},
        notifiers=tuple(sorted(settings.notifiers)),
    )


def wanted_topology(settings: Settings, subjects: Subjects) -> Topology:
    """The streams, consumers and buckets that the daemon needs."""
    return topology(subjects, stream_limits(settings))


async def provision_streams(settings: Settings, nats: Nats, subjects: Subjects) -> None:
    """Bring streams, consumers and buckets to what the daemon needs."""
    await provision(nats.client, wanted_topology(settings, subjects))


async def provision_at_start(settings: Settings, nats: Nats, subjects: Subjects) -> None:
    """:func:`provision_streams`, tried for ``nats.connect_timeout_s``: a server that takes connections may be of a
    cluster that is being formed, or that elects, and then JetStream comes later than the connection.

    Raises what :func:`adapters.nats.streams.provisioning.provision` raises.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + settings.nats.connect_timeout_s
    backoff = Backoff(_AGAIN_FIRST_S, _AGAIN_MOST_S, chance)
    while True:
        try:
            return await provision_streams(settings, nats, subjects)
        except JetStreamError as error:
            if not error.may_pass or clock() >= until:
                raise
            log.warning("jetstream_not_ready", reason=str(error))
        await asyncio.sleep(min(backoff.next_delay_s(), max(0.0, until - clock())))
