"""The command line's connection to NATS: of its own making, and made again where it breaks.

The client library's own reconnecting knows only the address it began with; the embedded server of a daemon that was
started again listens elsewhere.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.nats.lost_writes import outlive_lost_writes
from daemon.process.runtime_file import NoDaemonError

_CONNECT_S: Final = 3
_PING_S: Final = 5

_VIOLATION: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)

T = TypeVar("T")

Locate: TypeAlias = Callable[[], str]
"""Where NATS is now, credentials included. Raises :class:`NoDaemonError`."""


class Unreachable(Exception):
    """There is no connection now; the message is one line for the operator."""


class NotPermitted(Exception):
    """NATS refuses what was asked of it; the message is one line that names the subject."""


class Link:
    """One connection at a time. ``connected`` is called with each new one, before it is used."""

    def __init__(
        self,
        locate: Locate,
        *,
        inbox_prefix: str,
        credentials: Path | None = None,
        connected: Callable[[Client], Awaitable[None]] | None = None,
    ) -> None:
        self._locate = locate
        self._inbox_prefix = inbox_prefix.removesuffix(".")
        self._credentials = credentials
        self._connected = connected
        self._client: Client | None = None
        self._last_error = ""
        self._refused = asyncio.Event()
        self._refusal = ""
        self.generation = 0
        """How many connections there have been."""

    async def client(self) -> Client:
        """The connection, a new one where there is none. Raises :class:`Unreachable` after one attempt."""
        if self._client is not None and self._client.is_connected:
            return self._client
        await self.close()
        self._client = client = await self._connect()
        self.generation += 1
        if self._connected is not None:
            try:
                await self._connected(client)
            except NatsError as error:
                await self.close()
                raise Unreachable(f"the connection to NATS broke at once: {error}") from None
        return client

    async def close(self) -> None:
        """Closing twice is fine."""
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()

    async def _connect(self) -> Client:
        try:
            url = self._locate()
        except NoDaemonError as error:
            raise Unreachable(str(error)) from None
        self._last_error = ""
        client = Client()
        try:
            await client.connect(
                [server.strip() for server in url.split(",")],
                name="headgate command line",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                connect_timeout=_CONNECT_S,
                ping_interval=_PING_S,
                inbox_prefix=self._inbox_prefix,
                error_cb=self._on_error,
                user_credentials=None if self._credentials is None else str(self._credentials),
            )
        except (NatsError, OSError, TimeoutError, ValueError) as error:
            await client.close()
            reason = self._last_error or str(error) or type(error).__name__
            raise Unreachable(f"no connection to NATS at {hosts(url)}: {reason}") from None
        outlive_lost_writes(client)
        return client

    async def permitted(self, doing: Coroutine[object, object, T]) -> T:
        """Await *doing*, or raise :class:`NotPermitted` as soon as the server refuses a subject: without that word a
        request that may not be made looks like one that is not answered."""
        task = asyncio.ensure_future(doing)
        refused = asyncio.ensure_future(self._refused.wait())
        try:
            await asyncio.wait({task, refused}, return_when=asyncio.FIRST_COMPLETED)
            if self._refused.is_set():
                raise NotPermitted(self._refusal)
            return await task
        finally:
            for each in (task, refused):
                each.cancel()
            await asyncio.gather(task, refused, return_exceptions=True)

    async def _on_error(self, error: Exception) -> None:
        self._last_error = str(error) or type(error).__name__
        if (found := _VIOLATION.search(self._last_error)) is not None:
            does = "publish to" if found[1].lower() == "publish" else "listen to"
            self._refusal = f"NATS refuses permission to {does} {found[2]}"
            self._refused.set()


def hosts(url: str) -> str:
    """The servers of a URL without the credentials that may stand in it."""
    return ", ".join(urlsplit(server.strip()).netloc.rpartition("@")[2] for server in url.split(","))
