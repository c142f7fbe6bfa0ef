"""A client that outlives the moment in which its connection is lost.

Between the end of a connection and the client's notice of it, the library writes to a transport that is closed. uvloop
answers that with ``RuntimeError``, which ends the library's flushing task without a word; from then on every publish
meets the error itself, although the client counts as connected. Here such an error is the notice: the client begins to
reconnect, and what was to be written stays buffered until it has, as with every publish while disconnected. A ping is
not buffered: whoever waits for its answer (a flush, the drain of a subscription) hears that the client reconnects.
"""

import asyncio
from typing import Any

from nats.aio.client import Client
from nats.errors import ConnectionReconnectingError


def outlive_lost_writes(client: Client) -> None:
    """Let publishing over *client* never raise for a connection that has just ended, and flushing raise an error of
    the library's own."""
    flush = client._flush_pending  # noqa: SLF001 - the one place of the library through which every publish goes
    ping = client._send_ping  # noqa: SLF001 - the one beside it that writes to the transport itself

    async def flush_pending(force_flush: bool = False) -> Any:
        try:
            return await flush(force_flush)
        except (OSError, RuntimeError) as error:
            await client._process_op_err(error)  # noqa: SLF001 - what the library does where it notices by itself
            flushed = asyncio.get_running_loop().create_future()
            flushed.set_result(None)
            return flushed

    async def send_ping(future: asyncio.Future[Any] | None = None) -> None:
        try:
            await ping(future)
        except (OSError, RuntimeError) as error:
            if future is None:  # the library's own, now and then: it knows what to do
                raise
            await client._process_op_err(error)  # noqa: SLF001 - as above
            raise ConnectionReconnectingError from error

    client._send_ping = send_ping  # type: ignore[method-assign]  # noqa: SLF001 - as below
    client._flush_pending = flush_pending  # type: ignore[method-assign]  # noqa: SLF001 - there is no public way
