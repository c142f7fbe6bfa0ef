"""The bridge's own HTTP endpoints: alive, ready, metrics."""

from typing import Final

import orjson
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.nats import NatsBroker
from nats.aio.client import Client
from prometheus_client import CollectorRegistry, make_asgi_app

from daemon.observability.readiness import Readiness

_JSON: Final = {"content-type": "application/json", "cache-control": "no-store"}


def bridge_app(broker: NatsBroker, client: Client, readiness: Readiness, registry: CollectorRegistry) -> AsgiFastStream:
    """``/livez``, ``/readyz`` (``/healthz``), ``/metrics``."""

    @get(include_in_schema=False)
    async def livez(_scope: object) -> AsgiResponse:
        """The process runs and its loop turns."""
        return _json({"status": "alive", "phase": str(readiness.phase)}, 200)

    @get(include_in_schema=False)
    async def readyz(_scope: object) -> AsgiResponse:
        """Whether work is taken; if not, what is in the way."""
        obstacles = [obstacle.detail for obstacle in readiness.obstacles.values()]
        ready = readiness.is_ready and client.is_connected
        nats = "connected" if client.is_connected else "no connection"
        body = {"status": "ready" if ready else "not_ready", "nats": nats, "obstacles": obstacles}
        return _json(body, 200 if ready else 503)

    return AsgiFastStream(
        broker,
        asgi_routes=[
            ("/livez", livez),
            ("/readyz", readyz),
            ("/healthz", readyz),
            ("/metrics", make_asgi_app(registry)),
        ],
        logger=None,
    )


def _json(body: object, status: int) -> AsgiResponse:
    return AsgiResponse(orjson.dumps(body), status, _JSON)
