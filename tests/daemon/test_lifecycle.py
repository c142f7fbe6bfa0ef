"""Starts and stops of the real daemon: what a start refuses, in one line each, and what a stop leaves behind."""

import asyncio
import os
import signal
import socket
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import nats
import orjson
import pytest
from nats.js.api import DiscardPolicy

from adapters.nats.server.embedded_server import EmbeddedServer
from tests.contracts.samples import envelope, usage
from tests.support.command_line import headgate
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.locks import locked
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.kills]


def refused(home: Path, settings: str = "") -> str:
    """The one line of a daemon that does not start."""
    (home / "config.toml").write_text(settings)
    done = headgate("serve", "--config", home / "config.toml", "--json", cwd=home)
    assert done.code == 1, done.out
    assert '"event":"ready"' not in done.out.replace(" ", "")
    assert not (home / "var" / "runtime.json").exists()
    [line] = done.err.splitlines()
    return line


def processes_below(home: Path) -> list[str]:
    """Command lines of the processes that work on the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(home) in command:
                found.append(command)
    return found


@contextmanager
def port_taken() -> Iterator[int]:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


@pytest.mark.fresh
def test_a_folder_in_place_of_the_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "var" / "headgate.db").mkdir(parents=True)
    assert "headgate.db" in refused(tmp_path)


def test_a_file_that_is_no_database_is_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    file = tmp_path / "var" / "headgate.db"
    file.write_bytes(b"a letter to somebody, and no database at all" * 100)
    before = file.read_bytes()
    assert "headgate.db" in refused(tmp_path)
    assert file.read_bytes() == before


def test_a_database_of_a_newer_headgate_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    with closing(sqlite3.connect(tmp_path / "var" / "headgate.db")) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    assert "9999" in refused(tmp_path)


def test_a_migration_that_fails_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    file = tmp_path / "var" / "headgate.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE inbox (a_table_of TEXT, somebody_else TEXT)")
    assert refused(tmp_path)
    with closing(sqlite3.connect(file)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables <= {"inbox", "alembic_version"}


def test_an_http_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with port_taken() as port:
        assert str(port) in refused(tmp_path, f"[http]\nport = {port}\n")


def test_a_nats_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with port_taken() as port:
        assert str(port) in refused(tmp_path, f"[nats]\nport = {port}\n")
    assert processes_below(tmp_path) == []


def test_an_external_server_that_is_not_there_is_one_line_without_the_credentials(tmp_path: Path) -> None:
    settings = '[nats]\nmode = "external"\nurl = "nats://secret@127.0.0.1:1"\nconnect_timeout_s = 0.5\n'
    line = refused(tmp_path, settings)
    assert "127.0.0.1:1" in line
    assert "secret" not in line


@pytest.mark.fresh
def test_the_first_start_makes_its_folders_and_says_where_it_is(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        runtime = daemon.state_dir / "runtime.json"
        assert set(daemon.runtime) == {"pid", "nats_url", "http_url", "started_at"}
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o600
        assert get(f"{daemon.http_url}/readyz")[0] == 200
        [ready] = daemon.events("ready")
        assert ready["pid"] == daemon.pid
        second = DaemonProcess(tmp_path / "second", f'[daemon]\nstate_dir = "{daemon.state_dir}"\n')
        second.start(wait=False)
        assert second.wait_end() == 1
        [line] = [line for line in second.logs if "text" in line]
        assert str(daemon.state_dir) in str(line["text"])
        assert daemon.runtime["pid"] == str(daemon.pid)

        assert daemon.terminate() == 0
        assert not runtime.exists()
        assert [event["event"] for event in daemon.logs if event.get("event") in {"stopping", "stopped"}] == [
            "stopping",
            "stopped",
        ]
    assert processes_below(tmp_path) == []


async def publish(url: str, names: list[str], subject: str = "hg.ingest.session.usage") -> None:
    client = await nats.connect(url)
    context = client.jetstream(timeout=PATIENCE_S)
    for name in names:
        await context.publish(subject, orjson.dumps(envelope(usage(), message_id=name)))
    await client.close()


def stored(database: Path) -> list[str]:
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        return sorted(name for (name,) in connection.execute("SELECT message_id FROM session_usage"))


@pytest.mark.fresh
def test_a_stop_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    names = sorted(f"m{number}" for number in range(300))
    with running_daemon(tmp_path) as daemon:
        asyncio.run(publish(daemon.nats_url, names))
        assert daemon.terminate() == 0
        daemon.start()
        eventually(lambda: len(stored(daemon.database)) == 300)
        assert daemon.terminate() == 0
        assert stored(daemon.database) == names


@pytest.mark.fresh
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """At once: a stop that goes its way would wait for the outbox for longer than the test waits for the end."""
    with running_daemon(tmp_path, "[daemon]\nstop_timeout_s = 300\n") as daemon:
        asyncio.run(block_a_lane(daemon.nats_url))
        eventually(lambda: daemon.events("outbox_lane_waits"))
        daemon.signal(signal.SIGTERM)
        eventually(lambda: daemon.events("stopping"))
        daemon.signal(signal.SIGINT)
        assert daemon.wait_end() == 1
        assert not daemon.events("stopped")
    eventually(lambda: processes_below(tmp_path) == [])


async def block_a_lane(url: str) -> None:
    """A dead letter for which its stream has no room: a stop waits for it as long as it may."""
    client = await nats.connect(url)
    stream = client.jetstream(timeout=PATIENCE_S)
    dead = (await stream.stream_info("HG_DEAD")).config
    await stream.update_stream(dead.evolve(max_bytes=1, discard=DiscardPolicy.NEW))
    await stream.publish("hg.ingest.session.usage", b"{")
    await client.close()


async def make_room(url: str) -> None:
    client = await nats.connect(url)
    stream = client.jetstream(timeout=PATIENCE_S)
    dead = (await stream.stream_info("HG_DEAD")).config
    await stream.update_stream(dead.evolve(max_bytes=2**20))
    await client.close()


def test_a_stop_waits_for_the_outbox_only_so_long(tmp_path: Path) -> None:
    with running_daemon(tmp_path, "[daemon]\nstop_timeout_s = 0.5\n") as daemon:
        asyncio.run(block_a_lane(daemon.nats_url))
        eventually(lambda: daemon.events("outbox_lane_waits"))
        assert daemon.terminate() == 0
        daemon.start()
        asyncio.run(make_room(daemon.nats_url))
        eventually(lambda: asyncio.run(count(daemon.nats_url, "HG_DEAD")) == 1)


@asynccontextmanager
async def daemon_on_a_server_of_its_own(
    folder: Path, settings: str = "", nats_settings: str = ""
) -> AsyncIterator[tuple[DaemonProcess, EmbeddedServer]]:
    """A daemon that is ready and the server that it was not started with; whatever became of them, both are gone
    afterwards."""
    server = EmbeddedServer(folder / "store", folder / "state", sync="interval")
    await server.start()
    external = f'[nats]\nmode = "external"\nurl = "{server.url}"\n{nats_settings}'
    daemon = DaemonProcess(folder / "home", settings + external)
    try:
        await asyncio.to_thread(daemon.start)
        yield daemon, server
    finally:
        await asyncio.to_thread(daemon.end)
        await server.stop()


async def test_a_stop_while_the_server_hangs_takes_no_longer_than_it_may_and_loses_nothing(tmp_path: Path) -> None:
    """Every step that speaks to the server waits for it, so each is cut short. What was in hand cannot be given back
    then: the next life does that, long before the server would deliver it again by itself."""
    names = sorted(f"m{number}" for number in range(300))
    async with daemon_on_a_server_of_its_own(tmp_path, HURRIED) as (daemon, server):
        assert server.pid is not None
        with locked(daemon.database):
            await publish(server.url, names)
            await asyncio.to_thread(eventually, lambda: daemon.events("storage_away"))
            os.kill(server.pid, signal.SIGSTOP)
            try:
                assert await asyncio.to_thread(daemon.terminate) == 0
            finally:
                os.kill(server.pid, signal.SIGCONT)
        assert "commands" in [line["step"] for line in daemon.events("stop_cut_short")]
        assert daemon.events("stopped")
        await asyncio.to_thread(daemon.start)
        await asyncio.to_thread(eventually, lambda: stored(daemon.database) == names)


HURRIED = "[daemon]\nstop_timeout_s = 0.5\n[storage]\nbusy_timeout_ms = 500\n[intake]\nack_wait_s = 600\n"


async def count(url: str, stream: str) -> int:
    client = await nats.connect(url)
    info = await client.jetstream(timeout=PATIENCE_S).stream_info(stream)
    await client.close()
    return info.state.messages


def test_a_consumer_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        asyncio.run(publish(daemon.nats_url, ["before"]))
        eventually(lambda: stored(daemon.database) == ["before"])
        asyncio.run(delete_consumer(daemon.nats_url))
        eventually(lambda: daemon.events("consumer_gone"))
        asyncio.run(publish(daemon.nats_url, ["after"]))
        eventually(lambda: stored(daemon.database) == ["after", "before"])


async def delete_consumer(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream(timeout=PATIENCE_S).delete_consumer("HG_INGEST", "headgate-ingest")
    await client.close()


async def test_without_its_external_server_a_daemon_is_not_ready_and_ends_all_the_same(tmp_path: Path) -> None:
    async with daemon_on_a_server_of_its_own(tmp_path, nats_settings='prefix = "other"\n') as (daemon, server):
        await publish(server.url, ["a"], "other.ingest.session.usage")
        await asyncio.to_thread(eventually, lambda: stored(daemon.database) == ["a"])
        assert daemon.nats_url == server.url

        await server.stop()
        await asyncio.to_thread(eventually, lambda: get(f"{daemon.http_url}/readyz")[0] == 503)
        assert await asyncio.to_thread(daemon.terminate) == 0
        assert not (daemon.state_dir / "runtime.json").exists()


def test_an_embedded_server_whose_port_was_taken_meanwhile_ends_the_daemon_with_one_line(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        port = int(daemon.nats_url.rpartition(":")[2])
        os.kill(daemon.pid, signal.SIGSTOP)
        daemon.kill_nats_server()
        with closing(socket.socket()) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            eventually(lambda: bound(taken, port))
            taken.listen()
            os.kill(daemon.pid, signal.SIGCONT)
            assert daemon.wait_end() == 1
        [line] = [str(line["text"]) for line in daemon.logs if "text" in line]
        assert str(port) in line
        assert not (daemon.state_dir / "runtime.json").exists()


def bound(taken: socket.socket, port: int) -> bool:
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
