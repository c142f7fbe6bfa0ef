"""A probe publish: tells whether the server takes messages.

A server can answer pings while its streams are unwritable (a full disk leaves them so until a restart). Only a publish
that is stored proves the opposite; it goes to a stream of its own that keeps one message. As each stream fails by
itself, at its own next write, an embedded server is asked about its other streams too.
"""

import time
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.errors import JetStreamError
from adapters.nats.jetstream_api import answered, integer, section
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.missing import missing_objects
from adapters.nats.streams.topology import Topology, probe_subject
from contracts.subjects import Subjects

# Large enough not to fit into the last free corner of a full disk.
_BODY: Final = bytes(16 * 1024)


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a message was stored, in how many milliseconds, and why not.

    ``missing`` are objects of the daemon's own that are not there; ``is_refused`` where a server that is connected and
    has all of them did not store the message.
    """

    ok: bool
    latency_ms: float
    detail: str = ""
    missing: tuple[str, ...] = ()
    is_refused: bool = False


async def probe(
    nc: Client,
    subjects: Subjects,
    wanted: Topology,
    *,
    server: EmbeddedServer | None = None,
    timeout_s: float = 5.0,
) -> Probe:
    """Look for the objects in *wanted*, publish to the probe stream, and ask ``server`` for trouble; never raises for
    what the server or the connection does."""
    started = time.monotonic()

    def failed(detail: str, *, missing: tuple[str, ...] = (), is_refused: bool = False) -> Probe:
        return Probe(False, (time.monotonic() - started) * 1000, detail, missing, is_refused)

    if not nc.is_connected:
        return failed("not connected")
    try:
        if missing := await missing_objects(nc, wanted):
            return failed(f"missing: {', '.join(missing)}", missing=missing)
        answer = await nc.request(probe_subject(subjects), _BODY, timeout=timeout_s)
    except (NatsError, JetStreamError) as error:
        # A connection that was lost meanwhile says nothing of the streams.
        return failed(str(error) or type(error).__name__, is_refused=nc.is_connected)
    except OSError as error:
        return failed(str(error))
    said = answered(answer.data)
    if said is None or ("error" not in said and not integer(said, "seq")):
        return failed("the answer is none of the server's")
    if "error" in said:
        error_of = section(said, "error")
        detail = f"{error_of.get('description', '')} (err_code {integer(error_of, 'err_code')})"
        return failed(detail, is_refused=True)
    trouble = "" if server is None else await server.trouble()
    return failed(trouble, is_refused=True) if trouble else Probe(True, (time.monotonic() - started) * 1000)
