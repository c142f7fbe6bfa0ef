"""Settings of the process and of what it stands on: NATS, the database, the gate's doors, HTTP, logs."""

from collections.abc import Mapping
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from daemon.settings.values import (
    Count,
    Days,
    EmptyIsAbsent,
    EveryHours,
    HttpUrl,
    LocalPath,
    NatsUrl,
    OptionalPath,
    Port,
    Seconds,
    Section,
    StorageUrl,
    SubjectToken,
    WebsocketUrl,
    nats_hosts,
)
from domain.access import AuditedReads


class DaemonSettings(Section):
    """``[daemon]``"""

    state_dir: LocalPath = Path("var")
    """Folder of the lock, ``runtime.json`` and the embedded server's configuration; one daemon locks it."""
    stop_timeout_s: Seconds = 10.0
    """How long a stop may finish what is in hand and flush the outbox; what is left then is left to the next start."""


class NatsSettings(Section):
    """``[nats]``"""

    mode: Literal["embedded", "external"] = "embedded"
    url: NatsUrl = "nats://127.0.0.1:4222"
    """External mode: the servers, separated by commas."""
    credentials: OptionalPath = None
    """External mode: a ``.creds`` file."""
    prefix: SubjectToken = "hg"
    """First token of every subject; in capitals it begins the names of streams and buckets."""
    port: Port = 0
    """Embedded mode: the server's port."""
    store_dir: LocalPath = Path("var/nats")
    """Embedded mode: where JetStream keeps its files."""
    sync: Literal["always", "interval"] = "always"
    """Embedded mode: whether an acknowledged publish is on disk, or flushed every two minutes."""
    connect_timeout_s: Seconds = 10.0
    """How long the start tries to reach the server."""
    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    stream_max_bytes: Annotated[int, Field(ge=2**20, le=2**53 - 1)] = 2**30
    """Size at which a stream refuses producers (ingest, callback) or drops its oldest (events, dead letters)."""
    stream_max_age_days: Annotated[int, Field(ge=1, le=36_500)] = 7
    """Age at which events, dead letters and replays leave their streams; the database is their truth."""

    @property
    def on_loopback(self) -> bool:
        """Whether only programs on this machine can reach the server."""
        return self.mode == "embedded" or all(_is_loopback(host) for host in nats_hosts(self.url))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class StorageSettings(Section):
    """``[storage]``"""

    url: StorageUrl = "sqlite:///var/headgate.db"
    """Absolute once loaded: ``sqlite:////srv/headgate/var/headgate.db`` or ``postgresql://...``."""
    busy_timeout_ms: Annotated[int, Field(ge=0, le=60_000)] = 5_000
    """How long a statement waits for a database that another process holds before storage counts as away."""
    inbox_days: Count = 30
    """How long the keys of messages are remembered."""
    readers: Annotated[int, Field(ge=1, le=64)] = 4
    """Connections that only read (SQLite)."""
    pool_size: Annotated[int, Field(ge=1, le=200)] = 8
    """Connections (PostgreSQL)."""


class ContractsSettings(Section):
    """``[contracts]``"""

    mode: Literal["strict", "compat"] = "strict"
    compat_until: Annotated[Annotated[date, Field(strict=False)] | None, EmptyIsAbsent] = None
    """Last day of compat mode; after it compat behaves as strict."""
    max_bytes: Annotated[int, Field(ge=1_024, le=4 * 2**20)] = 256 * 1_024


class IntakeSettings(Section):
    """``[intake]``"""

    max_batch: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Messages in one transaction at most."""
    window: Annotated[int, Field(ge=1, le=100_000)] = 4_000
    """Messages that one daemon has asked for or holds, for each consumer."""
    ack_wait_s: Seconds = 60.0
    """Silence after which the server delivers a message again; longer than the slowest batch."""
    max_deliver: Annotated[int, Field(ge=4, le=10_000)] = 50
    """Deliveries after which the server gives a message up; the daemon then stores it as a dead letter."""
    trim_interval_s: Seconds = 5.0
    """How often what is acknowledged is removed from the streams."""


class OutboxSettings(Section):
    """``[outbox]``"""

    max_batch: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Rows published at once in a lane at most."""
    backoff_max_s: Seconds = 30.0
    """Longest pause of a lane whose stream is full or absent."""


class HttpSettings(Section):
    """``[http]``"""

    host: Annotated[str, Field(min_length=1, pattern=r"^[^\s/@]+$")] = "127.0.0.1"
    port: Port = 0
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Connections at once; never more than a quarter of the descriptors that the process may open."""
    headers_timeout_s: Seconds = 10.0
    """How long the head of a request may take, from the first byte or the opening of the connection."""
    idle_timeout_s: Seconds = 30.0
    """How long a body may stand still, in either direction."""
    public_url: HttpUrl = ""
    """What signed links begin with, where a proxy stands in front; empty: ``http://host:port``."""


class ConsoleSettings(Section):
    """``[console]``"""

    enabled: bool = True
    """The page under ``/console/``, its user at the embedded server, and the pulse."""
    pulse_s: Annotated[float, Field(ge=0.2, le=60, allow_inf_nan=False)] = 2.0
    """How often the daemon tells its figures on ``pulse.<daemon_id>``."""
    public_url: HttpUrl = ""
    """The page's address where a proxy stands in front; links in notifications begin with it."""
    ws_url: WebsocketUrl = ""
    """Where the page finds NATS: needed with an external server, and where the page is not on loopback."""
    ws_port: Port = 0
    """Embedded mode: the server's WebSocket port."""


class LogSettings(Section):
    """``[log]``"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class AuditSettings(Section):
    """``[audit]``"""

    reads: Annotated[AuditedReads, Field(strict=False)] = AuditedReads.BODIES
    """Which looks of operators leave a row: those that hand out ``bodies``, ``all``, or ``none``. Acts always do."""


class RetentionSettings(Section):
    """``[retention]``: days by table; 0 keeps rows for ever. The inbox has ``storage.inbox_days``."""

    every_h: EveryHours = 24.0
    """How often it is pruned by itself; 0: never."""
    session_events: Days = 90
    session_usage: Days = 0
    feed_items: Days = 0
    ideas: Days = 0
    scripts: Days = 0
    post_performance: Days = 0
    dead_letters: Days = 90
    """Resolved and discarded ones; an open one stays."""
    outbox: Days = 30
    """Messages that the server refused for good."""
    command_log: Days = 30
    ops_runs: Days = 365
    job_events: Days = 0
    callback_events: Days = 90
    work: Days = 90
    """Finished work."""
    tasks: Days = 90
    """Finished tasks."""
    alert_transitions: Days = 365
    signal_counts: Days = 8
    """What alert rules count by minute: no less than their longest window."""
    exports: Days = 30
    """Finished exports and their bytes."""

    def days(self) -> Mapping[str, int]:
        """By the name of the table."""
        return self.model_dump(exclude={"every_h"})
