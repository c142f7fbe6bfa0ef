"""A probe publish: tells whether the server takes messages.

A server can answer pings while its streams are unwritable (a full disk leaves them so until a restart). Only a publish
that is stored proves the opposite; it goes to a stream of its own that keeps one message. As each stream fails by
itself, at its own next write, an embedded server is asked about its other streams too.
"""

import time
from dataclasses import dataclass
from typing import Final

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.topology import probe_subject
from contracts.subjects import Subjects

# Large enough not to fit into the last free corner of a full disk.
_BODY: Final = bytes(16 * 1024)


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a message was stored, in how many milliseconds, and why not."""

    ok: bool
    latency_ms: float
    detail: str = ""


async def probe(
    nc: Client, subjects: Subjects, *, server: EmbeddedServer | None = None, timeout_s: float = 5.0
) -> Probe:
    """Publish to the probe stream, and ask ``server`` for trouble; never raises for what the server or the connection
    does."""
    started = time.monotonic()
    detail = ""
    try:
        if not nc.is_connected:
            detail = "not connected"
        else:
            answer = await nc.request(probe_subject(subjects), _BODY, timeout=timeout_s)
            error = orjson.loads(answer.data).get("error")
            detail = "" if error is None else f"{error.get('description', '')} (err_code {error.get('err_code', 0)})"
    except NatsError as error:
        detail = str(error)
    if not detail and server is not None:
        detail = await server.trouble()
    return Probe(not detail, (time.monotonic() - started) * 1000, detail)
