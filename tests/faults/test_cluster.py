"""A NATS cluster of three with ``nats.replicas = 3``: what is acknowledged is stored, whichever server dies."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import nats
import pytest
from nats.errors import Error as NatsError

from tests.support.clusters import SIZE, Cluster, cluster_of, running_cluster
from tests.support.connections import ignored
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.records.usage_records import envelope
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.slow]

CONNECT_S = 30
RECORDS = 300
AT_ONCE = 10
AWAY_S = 60
SUBJECT = "hg.ingest.session.usage"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "cluster") as running:
        yield running


def settings(cluster: Cluster) -> str:
    return f'[nats]\nmode = "external"\nurl = "{cluster.url}"\nreplicas = 3\nconnect_timeout_s = {CONNECT_S}\n'


@pytest.fixture
def daemon(cluster: Cluster, tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path / "home", settings(cluster)) as running:
        yield running


@contextmanager
def starting(cluster: Cluster, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that was started and need not have become ready."""
    daemon = DaemonProcess(tmp_path / "home", settings(cluster))
    try:
        daemon.start(wait=False)
        yield daemon
    finally:
        daemon.end()


def stored(daemon: DaemonProcess) -> int:
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM session_usage").fetchone()[0])


async def publish_all(
    cluster: Cluster, prefix: str, meanwhile: Callable[[], Coroutine[object, object, None]], within_s: float = 0.6
) -> None:
    """Publish records until each is acknowledged, while something happens to the servers."""

    nc = await nats.connect(cluster.urls, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignored)
    js = nc.jetstream(timeout=3)

    async def publish(number: int) -> None:
        body = json.dumps(envelope(f"{prefix}:{number}")).encode()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await js.publish(SUBJECT, body)
                except (TimeoutError, NatsError, OSError):
                    await asyncio.sleep(0.2)
                else:
                    return

    async def produce() -> None:
        for start in range(0, RECORDS, AT_ONCE):
            await asyncio.gather(*(publish(start + number) for number in range(AT_ONCE)))
            await asyncio.sleep(within_s * AT_ONCE / RECORDS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        tasks.create_task(meanwhile())
    await nc.close()


def test_a_leader_that_is_killed_under_load_loses_nothing(cluster: Cluster, daemon: DaemonProcess) -> None:
    async def kill_the_leader() -> None:
        await asyncio.sleep(0.3)
        number = await asyncio.to_thread(cluster.leader, "HG_INGEST")
        await asyncio.to_thread(cluster.kill, number)
        await asyncio.sleep(3)
        cluster.start(number)

    asyncio.run(publish_all(cluster, "leader", kill_the_leader))
    eventually(lambda: stored(daemon) == RECORDS)


def test_servers_that_are_restarted_one_after_the_other_are_not_missed(cluster: Cluster, daemon: DaemonProcess) -> None:
    async def restart_each() -> None:
        for number in range(SIZE):
            await asyncio.to_thread(cluster.kill, number)
            await asyncio.sleep(1)
            cluster.start(number)
            await asyncio.to_thread(cluster.wait_healthy)

    asyncio.run(publish_all(cluster, "rolling", restart_each))
    eventually(lambda: stored(daemon) == RECORDS)


def test_a_server_that_is_away_for_a_minute_is_not_missed_and_catches_up(
    cluster: Cluster, daemon: DaemonProcess
) -> None:
    number = (cluster.leader("HG_INGEST") + 1) % SIZE
    cluster.kill(number)

    async def nothing() -> None:
        return

    async def copies() -> list[bool]:
        """Of the copies beside the leader's: which have all that it has."""
        nc = await nats.connect(cluster.urls)
        stream = await nc.jetstream(timeout=PATIENCE_S).stream_info("HG_INGEST")
        await nc.close()
        assert stream.config.num_replicas == SIZE
        assert stream.cluster is not None
        return [bool(copy.current) for copy in stream.cluster.replicas or []]

    asyncio.run(publish_all(cluster, "away", nothing, AWAY_S))
    eventually(lambda: stored(daemon) == RECORDS)
    eventually(lambda: sorted(asyncio.run(copies())) == [False, True])

    cluster.start(number)
    cluster.wait_healthy()
    eventually(lambda: asyncio.run(copies()) == [True, True])


def test_a_daemon_that_starts_before_its_cluster_is_formed_waits_for_it(tmp_path: Path) -> None:
    with cluster_of(SIZE - 1, tmp_path / "cluster") as cluster, starting(cluster, tmp_path) as daemon:
        eventually(lambda: daemon.events("jetstream_not_ready"))
        cluster.start(SIZE - 1)
        daemon.wait_ready()
