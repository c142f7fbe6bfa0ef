import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters.errors import ConnectFailedError, ServerTooOldError
from adapters.nats.connection import ConnectionWatch, close_broker, connect, hosts, make_broker, require_version
from adapters.nats.outgoing import Outgoing, PublishStatus
from adapters.nats.probe import probe
from adapters.nats.publisher import StreamPublisher
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Limits, topology
from contracts.subjects import Family, Subjects
from tests.adapters.nats.waiting import eventually, eventually_awaited
from tests.support.waiting import PATIENCE_S

REFUSED = pytest.mark.filterwarnings("ignore::ResourceWarning")
INFO = b'INFO {"server_id":"x","version":"%s","max_payload":1048576,"headers":true,"proto":1,"port":4222}\r\n'


async def test_a_connected_broker_hands_out_its_client(nats_server: EmbeddedServer) -> None:
    watch = ConnectionWatch()
    broker = make_broker(nats_server.url, watch=watch)

    client = await connect(broker, nats_server.url, watch, PATIENCE_S)

    assert client is broker.connection
    assert client.is_connected
    await broker.stop()


@REFUSED
@pytest.mark.usefixtures("abandoned_sockets")
async def test_no_server_in_time_is_one_line_without_the_credentials() -> None:
    watch = ConnectionWatch()
    url = "nats://secret@127.0.0.1:1"

    with pytest.raises(ConnectFailedError, match=r"^no connection to NATS at 127.0.0.1:1 within 0.5 s: ") as refused:
        await connect(make_broker(url, watch=watch), url, watch, 0.5)

    assert "secret" not in str(refused.value)
    assert watch.errors.total() >= 1


@REFUSED
@pytest.mark.usefixtures("abandoned_sockets")
async def test_a_wrong_token_is_one_line_that_says_so(nats_server: EmbeddedServer) -> None:
    watch = ConnectionWatch()
    url = f"nats://wrong@127.0.0.1:{nats_server.port}"

    with pytest.raises(ConnectFailedError, match=r"^NATS at 127.0.0.1:\d+ refuses the credentials"):
        await connect(make_broker(url, watch=watch), url, watch, 60)


async def test_credentials_in_url_and_file_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailedError, match="contradict"):
        make_broker("nats://token@127.0.0.1:1", watch=ConnectionWatch(), credentials=tmp_path / "x.creds")


@pytest.mark.parametrize(
    ("version", "is_taken"), [(b"2.12.4", False), (b"2.12.5", True), (b"2.11.99", False), (b"3.0.0", True)]
)
async def test_servers_that_lose_messages_are_refused(version: bytes, is_taken: bool) -> None:
    """Real bytes from a socket: what an older server says of itself when a client connects."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO % version)
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    watch = ConnectionWatch()
    broker = make_broker(url, watch=watch)
    async with server:
        if is_taken:
            require_version(await connect(broker, url, watch, PATIENCE_S))
        else:
            with pytest.raises(
                ServerTooOldError, match=rf"^the NATS server is {version.decode()}; 2\.12\.5 or newer is needed$"
            ):
                await connect(broker, url, watch, PATIENCE_S)
        await broker.stop()


@pytest.mark.process
async def test_a_lost_connection_comes_back_and_is_counted(own_server: EmbeddedServer) -> None:
    changes: list[bool] = []
    watch = ConnectionWatch(on_change=changes.append)
    broker = make_broker(own_server.url, watch=watch)
    client = await connect(broker, own_server.url, watch, PATIENCE_S)

    await own_server.stop()
    await eventually(lambda: watch.disconnects == 1)
    await own_server.start()
    await eventually(lambda: watch.reconnects == 1)

    assert client.is_connected
    assert changes == [False, True]
    await broker.stop()


@REFUSED
@pytest.mark.usefixtures("abandoned_sockets")
@pytest.mark.process
async def test_a_refused_reconnect_is_tried_again(own_server: EmbeddedServer, tmp_path: Path) -> None:
    """The account may be back a moment later: a refusal must not end the reconnecting."""
    names: list[str] = []
    watch = ConnectionWatch(on_error=names.append)
    url = own_server.url
    broker = make_broker(url, watch=watch)
    client = await connect(broker, url, watch, PATIENCE_S)
    token = tmp_path / "state" / "nats-token"
    right = token.read_text()

    await own_server.stop()
    token.write_text("another")
    await own_server.start()
    await eventually(watch.refused.is_set)
    await own_server.stop()
    token.write_text(right)
    await own_server.start()

    await eventually(lambda: client.is_connected and watch.reconnects)
    assert names
    await broker.stop()


async def test_a_probe_says_how_long_a_durable_publish_takes(nc: Client, prefix: str) -> None:
    subjects = Subjects(prefix)
    wanted = topology(subjects, Limits())
    await provision(nc, wanted)

    first, second = await probe(nc, subjects, wanted), await probe(nc, subjects, wanted)

    assert first.ok
    assert second.ok
    assert second.latency_ms > 0
    state = (await nc.jetstream().stream_info(subjects.named("PROBE"))).state
    assert (state.messages, state.last_seq) == (1, 2)


async def test_a_probe_names_what_of_the_daemons_own_is_missing(nc: Client, prefix: str) -> None:
    subjects = Subjects(prefix)
    wanted = topology(subjects, Limits())
    await provision(nc, wanted)
    ingest = subjects.stream(Family.INGEST)
    await nc.jetstream().delete_stream(subjects.named("PROBE"))
    await nc.jetstream().delete_consumer(ingest, "headgate-ingest")

    found = await probe(nc, subjects, wanted)

    assert (found.ok, found.is_refused) == (False, False), "a restart of the server would cure nothing"
    assert found.missing == (subjects.named("PROBE"), f"{ingest}/headgate-ingest")
    assert found.detail == f"missing: {subjects.named('PROBE')}, {ingest}/headgate-ingest"
    await provision(nc, wanted)
    assert (await probe(nc, subjects, wanted)).ok


@pytest.mark.process
async def test_a_probe_of_a_server_that_is_away_fails_at_once(own_server: EmbeddedServer, nc_own: Client) -> None:
    await own_server.stop()
    await eventually(lambda: not nc_own.is_connected)

    assert (await probe(nc_own, Subjects(), topology(Subjects(), Limits()))).detail == "not connected"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems may not be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest_asyncio.fixture
async def ending() -> AsyncIterator[AsyncExitStack]:
    """What is to be ended, whatever became of the test."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.process
async def test_a_stream_left_unwritable_by_a_full_disk_is_noticed_and_cured_by_a_restart(
    small_disk: Path, tmp_path: Path, ending: AsyncExitStack
) -> None:
    """The server answers pings and other streams go on; the stream that met the full disk stays silent for good."""
    subjects = Subjects()
    server = EmbeddedServer(small_disk / "store", tmp_path / "state")
    ending.push_async_callback(server.stop)
    await server.start()
    watching = asyncio.create_task(server.watch(_nothing))
    watch = ConnectionWatch()
    broker = make_broker(server.url, watch=watch)
    nc = await connect(broker, server.url, watch, PATIENCE_S)
    ending.push_async_callback(broker.stop)
    wanted = topology(subjects, Limits())
    await provision(nc, wanted)
    publisher = StreamPublisher(nc, timeout_s=0.5)

    def messages(name: str, count: int) -> list[Outgoing]:
        return [Outgoing("hg.ingest.k", b"x" * 100_000, f"{name}-{number}") for number in range(count)]

    async def is_full() -> bool:
        """A busy server is late with its answers too: more is sent until it is the disk."""
        filled = await publisher.publish("HG_INGEST", messages("fill", 400))
        assert filled[-1].outcome is PublishStatus.UNAVAILABLE
        room = os.statvfs(small_disk)
        ill = not (await probe(nc, subjects, wanted, server=server)).ok
        return ill and room.f_bavail * room.f_frsize < 100_000

    await eventually_awaited(is_full)
    grow = await asyncio.create_subprocess_exec("mount", "-o", "remount,size=100m", small_disk)
    assert await grow.wait() == 0
    assert "no space left on device" in (await probe(nc, subjects, wanted, server=server)).detail

    await server.restart()
    await eventually(lambda: server.restarts == 1 and watch.reconnects)

    assert (await probe(nc, subjects, wanted, server=server)).ok
    [stored] = await StreamPublisher(nc).publish("HG_INGEST", messages("after", 1))
    assert stored.outcome is PublishStatus.STORED
    await ending.aclose()
    await watching


async def _nothing() -> None:
    return None


async def test_a_client_that_was_closed_while_it_reconnects_and_lost_its_end_ends_with_the_next_try() -> None:
    watch = ConnectionWatch()

    async def reconnecting() -> None:
        with suppress(asyncio.CancelledError):  # as wait_for does where a try fails in the same moment
            await asyncio.sleep(600)
        while True:
            await watch.error(ConnectionRefusedError())
            await asyncio.sleep(0)

    task = asyncio.create_task(reconnecting())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)

    assert task.cancelled()
    assert watch.errors.total() == 1


async def test_who_was_cancelled_and_closes_the_connection_is_not_kept_from_it_by_an_error(
    own_server: EmbeddedServer,
) -> None:
    watch = ConnectionWatch()
    broker = make_broker(own_server.url, watch=watch)
    client = await connect(broker, own_server.url, watch, PATIENCE_S)

    async def ending() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            transport = client._transport
            assert transport is not None
            transport.wait_closed = broken  # type: ignore[method-assign]  # as where the server resets the connection
            await close_broker(broker, watch)

    async def broken() -> None:
        raise ConnectionResetError

    task = asyncio.create_task(ending())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)

    assert task.cancelled()
    assert watch.errors["ConnectionResetError"] == 1
    assert watch.closed.is_set()


def test_hosts_are_named_without_credentials() -> None:
    assert hosts("nats://a:b@one:4222, nats://two:4222") == "one:4222, two:4222"
