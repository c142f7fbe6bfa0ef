"""What is the daemon's own at the broker and is deleted while it runs is made again; nothing is restarted for it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from nats.js.errors import NotFoundError

from tests.adapters.nats.waiting import eventually_awaited
from tests.contracts.samples import envelope, usage
from tests.daemon.operations.operating import operating
from tests.faults.test_exhaustion import is_ready, server_pid
from tests.support.commands import Json
from tests.support.daemons import DaemonProcess, running_daemon

pytestmark = pytest.mark.process


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path) as ready:
        yield ready


async def test_streams_buckets_and_the_probe_are_made_again_within_seconds(daemon: DaemonProcess) -> None:
    nats_server = server_pid(daemon)
    async with operating(daemon) as operator:
        jetstream = operator.nc.jetstream()
        gone = ["HG_PROBE", "HG_EVENT", "HG_DEAD", "KV_HG_STATUS", "HG_INGEST"]

        async def noticed() -> Json:
            """The daemon makes them again within seconds, which a slow test may take for its question."""
            for name in gone:
                with suppress(NotFoundError):
                    await jetstream.delete_stream(name)
            health = await operator.ask("health-check")
            nats = health["result"]["dependencies"]["nats"]
            told = all(name in nats.get("detail", "") for name in ("HG_PROBE", "KV_HG_STATUS"))
            return health if health["status"] == 503 and told else {}

        health = await eventually_awaited(noticed)

        async def all_there() -> bool:
            return {info.config.name for info in await jetstream.streams_info()}.issuperset(gone)

        await eventually_awaited(all_there)
        await eventually_awaited(lambda: is_ready(daemon))
        await operator.publish(envelope(usage(session_id="x", input_tokens=-1), message_id="m-1"))
        await operator.letter_of("m-1")

    assert health["result"]["dependencies"]["nats"]["status"] == "unhealthy"
    assert server_pid(daemon) == nats_server
    assert not daemon.events("nats_server_stores_nothing")
