"""The connection to NATS: FastStream's broker with options for a daemon that must outlive every outage.

The library's defaults give up after two minutes without a server and notice a dead peer after four; here it tries for
ever and notices within half a minute. Only the start has a time limit.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog
from faststream.exceptions import SetupError
from faststream.nats import NatsBroker
from faststream.nats.security import NatsCredentials
from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.cancellation import end_where_told_so
from adapters.errors import ConnectFailedError, ServerTooOldError
from adapters.nats.direct_parser import parse_directly
from adapters.nats.lenient_decoding import read_any_bytes
from adapters.nats.lost_writes import outlive_lost_writes
from adapters.nats.wire import order_pings

OLDEST_SERVER: Final = (2, 12, 5)
PENDING_BYTES: Final = 16 * 1024 * 1024
PING_INTERVAL_S: Final = 10
RECONNECT_WAIT_S: Final = 1
ATTEMPT_TIMEOUT_S: Final = 2
_CLOSE_S: Final = 5

log = structlog.get_logger(__name__)


class ConnectionWatch:
    """What happened to a connection: the callbacks of the client, counted. ``on_error`` is told the name of each error
    type, for metrics; ``on_change`` whether the connection is there. ``closed``: it is gone for good; ``refused``: a
    server did not take the credentials."""

    def __init__(
        self,
        *,
        on_error: Callable[[str], None] = lambda _: None,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._on_error = on_error
        self._on_change = on_change
        self.errors: Counter[str] = Counter()
        self.disconnects = 0
        self.reconnects = 0
        self.last_error = ""
        self.closer: asyncio.Task[object] | None = None
        """Who closes the connection on purpose, set before that: that it goes is no news then."""
        self.closed = asyncio.Event()
        self.refused = asyncio.Event()

    async def error(self, error: Exception) -> None:
        name = type(error).__name__
        self.errors[name] += 1
        self.last_error = str(error) or name
        if "authorization violation" in self.last_error.lower():
            self.refused.set()
        self._on_error(name)
        log.warning("nats_error", error=name, reason=self.last_error)
        # The client calls this for each try to reconnect that failed: closed meanwhile, it may have lost its end.
        # Whoever closes it, cancelled or not, is not to be kept from that.
        if self.closer is not asyncio.current_task():
            end_where_told_so()

    async def disconnected(self) -> None:
        self.disconnects += 1
        if self.closer is not None:
            return
        self._on_change(False)
        log.warning("nats_disconnected")

    async def reconnected(self) -> None:
        self.reconnects += 1
        self._on_change(True)
        log.info("nats_reconnected")

    async def closed_for_good(self) -> None:
        self.closed.set()
        self._on_change(False)


def make_broker(
    url: str,
    *,
    watch: ConnectionWatch,
    name: str = "headgate",
    credentials: Path | None = None,
    inbox_prefix: str = "_INBOX.",
) -> NatsBroker:
    """The frame's broker for ``url`` (several servers separated by commas; credentials may stand in it), not connected.

    Raises :class:`ConnectFailedError` where URL and credentials file contradict each other.
    """
    if credentials is not None and find_spec("nkeys") is None:
        raise ConnectFailedError("a .creds file needs the extra nkeys: pip install 'headgate[nkeys]'")
    try:
        broker = NatsBroker(
            [server.strip() for server in url.split(",")],
            name=name,
            inbox_prefix=inbox_prefix.removesuffix("."),
            security=None if credentials is None else NatsCredentials(str(credentials)),
            error_cb=watch.error,
            disconnected_cb=watch.disconnected,
            reconnected_cb=watch.reconnected,
            closed_cb=watch.closed_for_good,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,
            connect_timeout=ATTEMPT_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            max_outstanding_pings=2,
            pending_size=PENDING_BYTES,
            logger=None,
        )
    except SetupError as error:
        raise ConnectFailedError(f"the settings of the NATS connection contradict each other: {error}") from error
    # The frame wraps the callback in one that raises for some refusals ("authorization violation", "maximum connections
    # exceeded"). Raised within a reconnect, that ends the client's reconnecting for ever, without a word.
    broker._connection_kwargs["error_cb"] = watch.error  # noqa: SLF001 - the wrapper has no public switch
    return broker


async def connect(broker: NatsBroker, url: str, watch: ConnectionWatch, timeout_s: float) -> Client:
    """Connect the broker, trying for ``timeout_s`` (refused credentials end it at once), and answer its client.

    Raises :class:`ConnectFailedError` or :class:`ServerTooOldError`, each with one line that names the servers.
    """
    connecting = asyncio.create_task(broker.connect())
    refused = asyncio.create_task(watch.refused.wait())
    try:
        await asyncio.wait({connecting, refused}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            client = connecting.result()
        elif refused.done():
            raise ConnectFailedError(f"NATS at {hosts(url)} refuses the credentials: Authorization Violation")
        else:
            why = f": {watch.last_error}" if watch.last_error else ""
            raise ConnectFailedError(f"no connection to NATS at {hosts(url)} within {timeout_s:g} s{why}")
    except (NatsError, OSError, ValueError) as error:
        raise ConnectFailedError(f"cannot connect to NATS at {hosts(url)}: {error}") from error
    finally:
        connecting.cancel()
        refused.cancel()
        await asyncio.gather(connecting, refused, return_exceptions=True)
    require_version(client)
    read_any_bytes(client)
    parse_directly(client)
    order_pings(client)
    outlive_lost_writes(client)
    return client


async def close_broker(broker: NatsBroker, watch: ConnectionWatch) -> None:
    """Send what is buffered and close the connection, not waiting for a server that is gone or does not answer."""
    watch.closer = asyncio.current_task()
    client = broker.connection
    try:
        if client.is_connected:
            # The library cannot be stopped once it drains: it takes a cancellation for its end, and flushes again.
            await client.flush(timeout=_CLOSE_S)
        async with asyncio.timeout(_CLOSE_S):
            await broker.stop()
    except (NatsError, TimeoutError) as error:
        log.warning("nats_not_drained", reason=str(error) or type(error).__name__)
        # Closing tries once more to write what is buffered, on a transport that is closed already or takes nothing.
        with suppress(NatsError, OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await client.close()


def require_version(client: Client) -> None:
    """Raises :class:`ServerTooOldError` below 2.12.5: older servers lose work-queue messages at max-deliver."""
    version = client.connected_server_version
    if (version.major, version.minor, version.patch) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        found = f"{version.major}.{version.minor}.{version.patch}"
        raise ServerTooOldError(f"the NATS server is {found}; {oldest} or newer is needed")


def hosts(url: str) -> str:
    """The servers of a URL without the credentials that may stand in it."""
    return ", ".join(urlsplit(server.strip()).netloc.rpartition("@")[2] for server in url.split(","))
