"""The HTTP endpoints, by FastStream's ASGI app: liveness, readiness, metrics and the AsyncAPI page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson
import uvicorn
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.asgi.types import ASGIApp
from prometheus_client import CollectorRegistry, make_asgi_app

from contracts.errors import JsonObject
from daemon.errors import StartError
from daemon.http.asyncapi_page import render
from daemon.http.connections import Closed, ConnectionLimits, bounded
from daemon.http.console import Console
from daemon.http.dispatch import App
from daemon.observability.readiness import Readiness
from daemon.settings.process import HttpSettings

if TYPE_CHECKING:
    from daemon.contract_document import ContractDocument

Measure: TypeAlias = Callable[[], Awaitable[JsonObject]]
"""Measures every dependency: name -> status, latency, detail."""

_JSON: Final = {"content-type": "application/json", "cache-control": "no-store"}
_OK, _UNAVAILABLE = 200, 503
_LAST_REQUESTS_S: Final = 3
"""At the end, what is still on its way up or down has so long: a slow client keeps nobody from stopping."""
_BACKLOG: Final = 128


def build_app(
    *,
    readiness: Readiness,
    measure: Measure,
    registry: CollectorRegistry,
    contract: Callable[[], Awaitable["ContractDocument"]],
    console: Console | None = None,
) -> AsgiFastStream:
    """The ASGI app. The broker joins it later (``add_broker``), when its server is known."""
    return AsgiFastStream(
        asgi_routes=[
            *_probes(readiness, measure),
            ("/metrics", make_asgi_app(registry)),
            *_contract_pages(contract),
            *(console.routes() if console is not None else ()),
        ],
        logger=None,
    )


def _probes(readiness: Readiness, measure: Measure) -> Sequence[tuple[str, ASGIApp]]:
    @get(include_in_schema=False)
    async def livez(_scope: object) -> AsgiResponse:
        """The process runs and its loop turns."""
        return _json({"status": "alive", "phase": str(readiness.phase)}, _OK)

    @get(include_in_schema=False)
    async def readyz(_scope: object) -> AsgiResponse:
        """Ready to take messages; if not, which dependency is in the way."""
        obstacles = [
            {"dependency": obstacle.dependency, "noticed_by": by, "detail": obstacle.detail}
            for by, obstacle in sorted(readiness.obstacles.items())
        ]
        ready = readiness.is_ready
        body = {
            "status": "ready" if ready else "not_ready",
            "phase": str(readiness.phase),
            "obstacles": obstacles,
            "dependencies": await measure(),
        }
        return _json(body, _OK if ready else _UNAVAILABLE)

    return [("/livez", livez), ("/readyz", readyz), ("/healthz", readyz)]


def _contract_pages(contract: Callable[[], Awaitable["ContractDocument"]]) -> Sequence[tuple[str, ASGIApp]]:
    @get(include_in_schema=False)
    async def asyncapi(_scope: object) -> AsgiResponse:
        """What may be said to this daemon, for people."""
        page = render((await contract()).document)
        return AsgiResponse(page.encode(), _OK, {"content-type": "text/html; charset=utf-8"})

    @get(include_in_schema=False)
    async def asyncapi_json(_scope: object) -> AsgiResponse:
        """What may be said to this daemon, for programs."""
        return AsgiResponse((await contract()).json, _OK, {"content-type": "application/json"})

    return [("/asyncapi", asyncapi), ("/asyncapi.json", asyncapi_json)]


def _json(body: object, status: int) -> AsgiResponse:
    return AsgiResponse(orjson.dumps(body), status, _JSON)


class _Server(uvicorn.Server):
    """Uvicorn inside a daemon that handles its own signals, until *over*."""

    def __init__(self, config: uvicorn.Config, over: asyncio.Event) -> None:
        super().__init__(config)
        self._over = over

    async def main_loop(self) -> None:
        """Uvicorn looks ten times a second whether it should exit; this is told. A tick renews the answers' date."""
        while not self._over.is_set():
            await self.on_tick(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._over.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def serving(
    app: App,
    settings: HttpSettings,
    *,
    port: int,
    on_closed: Callable[[Closed], None],
    over: asyncio.Event | None = None,
) -> AsyncIterator[str]:
    """Serve *app*; yields its URL. Port 0 takes any free one. *on_closed* learns of each connection that broke a limit.
    It ends with the block; where *over* is set before, it begins to end then. Raises :class:`StartError` where it
    cannot listen.
    """
    over = over or asyncio.Event()
    host = settings.host
    limits = ConnectionLimits(settings.max_connections, settings.headers_timeout_s, settings.idle_timeout_s, on_closed)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        loop="none",
        http=bounded(limits),  # type: ignore[arg-type]  # a class to the library, which only calls it
        ws="none",
        timeout_graceful_shutdown=_LAST_REQUESTS_S,
    )
    try:
        listener = config.bind_socket()
    except SystemExit:
        raise StartError(f"http: cannot listen on {host}:{port}") from None
    listener.listen(_BACKLOG)  # at once: clients that know the URL may connect
    server = _Server(config, over)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        yield f"http://{_in_url(host)}:{listener.getsockname()[1]}"
    finally:
        over.set()
        await task
        listener.close()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
