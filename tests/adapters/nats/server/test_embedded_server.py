import asyncio
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters.errors import EmbeddedServerError, PortTakenError, ServerFailedError, StoreHeldError, StoreUnusableError
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.server.server_process import server_binary
from tests.adapters.nats.waiting import eventually
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[4]

pytestmark = [pytest.mark.process, pytest.mark.kills]

# A daemon in small: starts the server, says where it is, and waits to be killed. With "orphan" the server does not
# notice the death of its parent, as on a kernel without that signal.
DAEMON = """
import asyncio, json, sys
from pathlib import Path
from adapters.nats.server import server_process
from adapters.nats.server.embedded_server import EmbeddedServer

async def main(folder, orphan):
    if orphan:
        server_process._set_up_child = lambda: None
    server = EmbeddedServer(folder / "store", folder / "state")
    await server.start()
    print(json.dumps({"url": server.url, "pid": server.pid}), flush=True)
    await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "orphan"))
"""


class Daemon:
    """A process that runs an embedded server in ``folder``."""

    def __init__(self, folder: Path, *, orphan: bool) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(folder), "orphan" if orphan else "child"],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.url: str = said["url"]
        self.server_pid: int = said["pid"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    made = EmbeddedServer(tmp_path / "store", tmp_path / "state")
    yield made
    await made.stop()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def connected(url: str) -> Client:
    async with asyncio.timeout(PATIENCE_S):
        return await nats.connect(url)


async def test_a_started_server_takes_publishes_and_a_stopped_one_is_gone(server: EmbeddedServer) -> None:
    await server.start()
    pid = server.pid
    assert pid is not None

    nc = await connected(server.url)
    await nc.jetstream().add_stream(name="S", subjects=["s"])
    assert (await nc.jetstream().publish("s", b"x")).seq == 1
    assert nc.max_payload == 8 * 1024 * 1024
    await nc.close()

    await server.stop()
    assert server.pid is None
    assert not is_running(pid)
    await server.stop()


async def test_a_server_that_waits_for_its_disk_is_not_woken_at_every_turn(server: EmbeddedServer) -> None:
    await server.start()
    try:
        slack_ns = int(await asyncio.to_thread(Path(f"/proc/{server.pid}/timerslack_ns").read_text))
    except OSError as error:
        pytest.skip(f"the kernel does not tell: {error.strerror}")
    assert slack_ns == 1_000_000


async def test_what_was_acknowledged_is_there_after_a_restart_and_the_token_is_the_same(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    """A worker must find the server again without being told a new token."""
    await server.start()
    nc = await connected(server.url)
    await nc.jetstream().add_stream(name="S", subjects=["s"])
    await nc.jetstream().publish("s", b"x")
    await nc.close()
    token = server.url.partition("@")[0]
    await server.stop()

    again = EmbeddedServer(tmp_path / "store", tmp_path / "state")
    await again.start()
    assert again.url.partition("@")[0] == token
    nc = await connected(again.url)
    assert (await nc.jetstream().stream_info("S")).state.messages == 1
    await nc.close()
    await again.stop()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("abandoned_sockets")
async def test_nobody_without_the_token_gets_in_and_nobody_else_can_read_it(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    await server.start()
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        await nats.connect(f"nats://127.0.0.1:{server.port}", allow_reconnect=False, error_cb=_ignored)

    for name in ("nats-token", "nats-server.conf"):
        assert stat.S_IMODE((tmp_path / "state" / name).stat().st_mode) == 0o600
    secret = (tmp_path / "state" / "nats-token").read_text()
    assert server.url.startswith(f"nats://headgate:{secret}@")


async def test_every_acknowledged_publish_is_synced_unless_told_otherwise(tmp_path: Path) -> None:
    for sync, expected in (("always", True), ("interval", False)):
        server = EmbeddedServer(tmp_path / sync, tmp_path / f"{sync}-state", sync=sync)  # type: ignore[arg-type]  # a literal
        await server.start()
        configuration = (tmp_path / f"{sync}-state" / "nats-server.conf").read_text()
        assert ("sync_interval: always" in configuration) is expected
        await server.stop()


async def test_the_server_listens_where_it_is_told_to(tmp_path: Path) -> None:
    port = free_port()
    server = EmbeddedServer(tmp_path / "store", tmp_path / "state", port=port)
    await server.start()
    assert server.url.endswith(f"@127.0.0.1:{port}")
    await server.stop()


async def test_a_taken_port_stops_the_start_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.nats.server.embedded_server._PORT_PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"^port {port} on 127.0.0.1 is taken by another program$"):
            await EmbeddedServer(tmp_path / "store", tmp_path / "state", port=port).start()


async def test_a_store_that_is_no_folder_stops_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreUnusableError, match=r"^cannot make the folder .*/store: File exists$"):
        await EmbeddedServer(tmp_path / "store", tmp_path / "state").start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_an_unwritable_store_stops_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o500)
    with pytest.raises(StoreUnusableError, match=r"^cannot write in .*/store: Permission denied$"):
        await EmbeddedServer(tmp_path / "store", tmp_path / "state").start()


async def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """The server itself finds the damage: a file where JetStream keeps its folder."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "jetstream").write_text("a file")
    with pytest.raises(ServerFailedError, match=r"^nats-server ended with 1: .*not a directory$") as refused:
        await EmbeddedServer(tmp_path / "store", tmp_path / "state").start()
    assert "\n" not in str(refused.value)


async def test_a_server_can_be_started_only_from_the_main_thread(tmp_path: Path) -> None:
    """The kernel would end it with the thread that started it."""

    def start() -> None:
        asyncio.run(EmbeddedServer(tmp_path / "store", tmp_path / "state").start())

    with pytest.raises(EmbeddedServerError, match="main thread"):
        await asyncio.to_thread(start)


async def test_the_binary_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert server_binary().is_file()
    assert os.access(server_binary(), os.X_OK)


async def test_a_second_daemon_on_a_living_ones_store_is_refused(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.nats.server.store_lock.HOLDER_EXIT_S", 0.2)
    daemon = Daemon(tmp_path, orphan=False)
    try:
        with pytest.raises(StoreHeldError, match=f"is in use by process {daemon.process.pid}"):
            await server.start()
        assert is_running(daemon.server_pid)
    finally:
        daemon.kill()


async def test_who_holds_the_store_and_is_not_to_be_seen_is_waited_for(server: EmbeddedServer, tmp_path: Path) -> None:
    """As a server that was killed while one of its threads waits for the disk, for longer than a busy disk takes."""
    held = os.open(tmp_path / "store.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    asyncio.get_running_loop().call_later(2, os.close, held)

    await server.start()

    assert server.pid is not None


async def test_the_server_dies_with_its_killed_daemon(server: EmbeddedServer, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, orphan=False)

    daemon.kill()

    await eventually(lambda: not is_running(daemon.server_pid))
    await server.start()


async def test_a_left_over_server_is_ended_before_the_store_is_used_again(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path, orphan=True)
    nc = await connected(daemon.url)
    await nc.jetstream().add_stream(name="S", subjects=["s"])
    await nc.jetstream().publish("s", b"x")
    await nc.close()
    daemon.kill()
    assert is_running(daemon.server_pid)

    await server.start()

    assert not is_running(daemon.server_pid)
    nc = await connected(server.url)
    assert (await nc.jetstream().stream_info("S")).state.messages == 1
    await nc.close()


async def test_a_left_over_server_that_does_not_listen_is_killed(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.nats.server.store_lock.LEFT_OVER_TERM_S", 0.2)
    daemon = Daemon(tmp_path, orphan=True)
    daemon.kill()
    os.kill(daemon.server_pid, signal.SIGSTOP)

    await server.start()

    assert not is_running(daemon.server_pid)


async def test_a_server_that_dies_is_started_again_on_its_port(server: EmbeddedServer) -> None:
    restarted = asyncio.Event()

    async def note() -> None:
        restarted.set()

    await server.start()
    url, pid = server.url, server.pid
    assert pid is not None
    watching = asyncio.create_task(server.watch(note))
    os.kill(pid, signal.SIGKILL)

    async with asyncio.timeout(PATIENCE_S):
        await restarted.wait()

    assert server.restarts == 1
    assert (server.url, server.pid is not None, server.pid != pid) == (url, True, True)
    nc = await connected(url)
    await nc.close()
    await server.stop()
    async with asyncio.timeout(PATIENCE_S):
        await watching  # a stop is no death


async def test_restart_brings_a_fresh_server_up(server: EmbeddedServer) -> None:
    await server.start()
    pid = server.pid
    watching = asyncio.create_task(server.watch(_nothing))

    await server.restart()

    await eventually(lambda: server.restarts == 1 and server.pid not in (None, pid))
    await server.stop()
    await watching


async def test_the_watch_ends_when_another_program_took_the_port(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.nats.server.embedded_server._PORT_PATIENCE_S", 0.2)
    await server.start()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: server.pid is None)
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(PortTakenError):
        await server.watch(_nothing)


async def _nothing() -> None:
    return None


async def _ignored(_: Exception) -> None:
    return None


@pytest.mark.parametrize(
    "name",
    [
        "home jürgen",
        "日本",
        'it\'s "quoted"',
        "back\\slash",
        "$HOME {a} # b // c",
        "a\ttab and\nlines",
        "\u0007bell\u007f",
        os.fsdecode(b"no utf-8 \xff\xe9"),
    ],
)
async def test_folders_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    server = EmbeddedServer(home / "store", home / "state")
    await server.start()
    try:
        assert (home / "store" / "jetstream").is_dir()
        assert server.log_file.exists()
        client = await nats.connect(server.url)
        await client.close()
    finally:
        await server.stop()


async def test_a_server_that_could_not_be_asked_is_not_ill(server: EmbeddedServer) -> None:
    """A lack of descriptors in this process says nothing of the server's health."""
    await server.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert await server.trouble() == ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
