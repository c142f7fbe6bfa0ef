"""A server is restarted where that may help: with its streams there and nothing stored, and not for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.nats.connection import ConnectionWatch, close_broker, connect, make_broker
from adapters.nats.probe import Probe
from adapters.nats.server.embedded_server import EmbeddedServer
from daemon.maintenance.nats_probe import NatsProbe
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.process.connections import Nats
from tests.adapters.nats.waiting import eventually
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

REFUSED = Probe(False, 1.0, "insufficient storage", is_refused=True)
AWAY = Probe(False, 1.0, "Too many open files")
VANISHED = Probe(False, 1.0, "missing: HG_PROBE", missing=("HG_PROBE",))


class Server(EmbeddedServer):
    """Counts what is asked of it."""

    asked = 0

    async def restart(self) -> None:
        self.asked += 1
        await super().restart()


class Probed:
    """A probe loop over a real server, whose findings the test gives."""

    def __init__(self, nats: Nats) -> None:
        self.found = REFUSED
        self.provisioned = 0
        self.readiness = Readiness(lambda _ready: None)
        self.loop = NatsProbe(
            nats,
            readiness=self.readiness,
            metrics=Metrics(),
            on_restart=lambda: None,
            probe=self._probe,
            provision=self._provision,
            on_made_again=lambda: None,
        )

    async def _probe(self) -> Probe:
        return self.found

    async def _provision(self) -> None:
        self.provisioned += 1

    async def steps(self, count: int, server: Server) -> None:
        for _ in range(count):
            await self.loop.step()
            await eventually(lambda: server.restarts == server.asked)


@asynccontextmanager
async def probed(server: EmbeddedServer) -> AsyncIterator[Probed]:
    watch = ConnectionWatch()
    broker = make_broker(server.url, watch=watch)
    client = await connect(broker, server.url, watch, PATIENCE_S)
    made = Probed(Nats(server.url, broker, client, watch, server))
    keeping = asyncio.create_task(made.loop.keep_server())
    try:
        yield made
    finally:
        await close_broker(broker, watch)
        await server.stop()
        await keeping


async def test_restarts_that_change_nothing_end_after_the_third(tmp_path: Path) -> None:
    server = Server(tmp_path / "store", tmp_path / "state")
    await server.start()
    async with probed(server) as made:
        await made.steps(1, server)
        assert server.restarts == 0, "one failed probe says little"
        await made.steps(60, server)
        assert server.restarts == 3
        assert "probe" in made.readiness.obstacles

        made.found = Probe(True, 1.0)
        await made.steps(1, server)
        made.found = REFUSED
        await made.steps(2, server)
        assert server.restarts == 4, "a new trouble has restarts of its own"


async def test_what_a_restart_does_not_cure_causes_none(tmp_path: Path) -> None:
    server = Server(tmp_path / "store", tmp_path / "state")
    await server.start()
    async with probed(server) as made:
        for made.found in (AWAY, VANISHED):
            await made.steps(10, server)
        assert (server.restarts, made.provisioned) == (0, 10)
