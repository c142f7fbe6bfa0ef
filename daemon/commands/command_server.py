"""The service of commands: its endpoints on the server, and the one endpoint behind them that answers."""

from collections.abc import Callable, Sequence

from anyio.abc import TaskGroup
from nats.aio.client import Client

from adapters.nats.service import CommandService, Endpoint, serve
from daemon.commands.command_endpoint import CommandEndpoint, Replies


class CommandServer:
    """Registers the service when the daemon begins, and takes it back when it ends."""

    def __init__(
        self,
        nc: Client,
        *,
        version: str,
        endpoints: Sequence[Endpoint],
        make_endpoint: Callable[[Callable[[], Replies]], CommandEndpoint],
    ) -> None:
        self._nc = nc
        self._version = version
        self._endpoints = endpoints
        self._endpoint = make_endpoint(self._replies)
        self._service: CommandService | None = None

    async def open(self, tasks: TaskGroup) -> None:
        """Answer requests from now on, in *tasks*."""
        self._endpoint.open(tasks)
        self._service = await serve(
            self._nc,
            version=self._version,
            queue_group="headgate",
            endpoints=self._endpoints,
            take=self._endpoint.take,
        )

    async def close(self) -> None:
        """Take no more requests; what was taken in before may still be answered (:meth:`finish`)."""
        if self._service is not None:
            await self._service.stop()

    async def finish(self) -> None:
        """Return when every question and every change that was taken in is answered."""
        await self._endpoint.finish()

    def _replies(self) -> Replies:
        if self._service is None:
            raise RuntimeError("a request came before the service was there")
        return self._service
