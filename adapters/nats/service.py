"""Commands as a NATS service (ADR-32): one endpoint for each command, found by ``nats micro ls``.

nats-py serves an endpoint one request at a time, and counts as its duration what the callback takes. So the callback
only takes the request in and returns; who answers it, and when, is decided elsewhere.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import nats.micro
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.micro.request import Request
from nats.micro.service import Endpoint as ServedEndpoint
from nats.micro.service import EndpointStats, Service

from adapters.nats.wire import answer, write_together

log = structlog.get_logger(__name__)

ERROR_HEADER: Final = "Nats-Service-Error"
ERROR_CODE_HEADER: Final = "Nats-Service-Error-Code"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A command's name in discovery, and the whole subject it listens on."""

    name: str
    subject: str


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """A request as it came. ``reply_to`` is empty where the caller wants no answer."""

    endpoint: str
    body: bytes
    headers: Mapping[str, str]
    reply_to: str


class CommandService:
    """Serves endpoints on a shared connection."""

    def __init__(self, nc: Client, service: Service, errors: "ErrorStats") -> None:
        self._nc = nc
        self._service = service
        self._errors = errors

    async def stop(self) -> None:
        """Take no more requests. What the server had sent is handed on first, and may still be answered."""
        try:
            # The library itself would drop what lies in its queues or is on the wire.
            endpoints = self._service._endpoints  # noqa: SLF001 - it has no way to drain an endpoint
            await asyncio.gather(*(_drain(endpoint) for endpoint in endpoints))
            endpoints.clear()
            await self._service.stop()
        except (NatsError, OSError, TimeoutError) as error:
            log.warning("service_not_drained", reason=str(error) or type(error).__name__)

    async def reply(self, endpoint: str, subject: str, body: bytes, *, error: str | None, status: int) -> None:
        """Send an answer; with *error* set the service headers tell clients that it failed, and statistics count it.

        The caller knows that *subject* can be published to.
        """
        try:
            if error is None:
                await write_together(self._nc, [answer(subject, body)])
            else:
                self._errors.note(endpoint, error)
                headers = {ERROR_HEADER: error, ERROR_CODE_HEADER: str(status)}
                await self._nc.publish(subject, body, headers=headers)
        except NatsError as failure:
            log.warning("reply_lost", reason=str(failure))


class ErrorStats:
    """What ``$SRV.STATS`` tells of failed answers: the library counts only what its callbacks raise."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def note(self, endpoint: str, error: str) -> None:
        self._counts[endpoint] += 1
        self._last[endpoint] = error

    def tell(self, stats: EndpointStats) -> dict[str, int]:
        """Complete the statistics of an endpoint; the answer is its ``data``."""
        failed = self._counts[stats.name]
        stats.num_errors += failed
        stats.last_error = self._last.get(stats.name, stats.last_error)
        return {"errors": failed}


async def serve(
    nc: Client,
    *,
    version: str,
    queue_group: str,
    endpoints: Sequence[Endpoint],
    take: Callable[[IncomingRequest], Awaitable[None]],
) -> CommandService:
    """Register the service ``headgate`` with its *endpoints*; each request is handed to *take*."""
    errors = ErrorStats()
    service = await nats.micro.add_service(
        nc,
        name="headgate",
        version=version,
        description="The gate at the head of a content pipeline.",
        stats_handler=errors.tell,
    )
    for endpoint in endpoints:
        await service.add_endpoint(
            name=endpoint.name,
            subject=endpoint.subject,
            queue_group=queue_group,
            handler=_taker(endpoint.name, take),
        )
    await nc.flush()  # the server knows all of them: every request from now on is answered
    return CommandService(nc, service, errors)


async def _drain(endpoint: ServedEndpoint) -> None:
    if (subscription := endpoint._subscription) is not None:  # noqa: SLF001 - as above
        await subscription.drain()  # type: ignore[no-untyped-call] # the library's annotations leave it out


def _taker(endpoint: str, take: Callable[[IncomingRequest], Awaitable[None]]) -> Callable[[Request], Awaitable[None]]:
    async def handle(request: Request) -> None:
        reply_to: str = request._msg.reply  # noqa: SLF001 - the library has no public way to the reply subject
        await take(IncomingRequest(endpoint, request.data, request.headers or _NO_HEADERS, reply_to))

    return handle
