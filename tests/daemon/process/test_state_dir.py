"""The state directory: one daemon locks it, and the command line finds a living daemon by it, never a dead one."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.errors import StartError
from daemon.process.runtime_file import NoDaemonError, Runtime, find_daemon, remove_runtime, write_runtime
from daemon.process.state_files import read_own, secure_state_files, write_own
from daemon.process.state_lock import StateLock, is_held
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kills

RUNTIME = Runtime(4711, "nats://secret@127.0.0.1:4222", "http://127.0.0.1:8080", "2026-11-20T10:15:30.123Z")

HOLD = """
import sys
from pathlib import Path
from daemon.process.state_files import read_own, secure_state_files, write_own
from daemon.process.state_lock import StateLock
StateLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process_holds(state_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", HOLD, str(state_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    with StateLock(tmp_path):
        yield tmp_path
    assert not is_held(tmp_path)


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    state_dir = tmp_path / "a" / "b"
    lock = StateLock(state_dir)
    lock.acquire()
    lock.release()
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


def test_a_second_daemon_is_refused_in_one_line_that_names_the_first(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as first:
        with pytest.raises(StartError) as caught:
            StateLock(tmp_path).acquire()
        assert caught.value.lines == (f"daemon.state_dir {tmp_path} is in use by another daemon (process {first.pid})",)


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as first:
        assert is_held(tmp_path)
        first.kill()
        first.wait(PATIENCE_S)
        assert not is_held(tmp_path)
        lock = StateLock(tmp_path)
        lock.acquire()
        assert is_held(tmp_path)
        lock.release()
        lock.release()
        assert not is_held(tmp_path)


LOOK = """
import sys
from pathlib import Path
from daemon.process.state_files import read_own, secure_state_files, write_own
from daemon.process.state_lock import is_held
print("looking", flush=True)
while True:
    is_held(Path(sys.argv[1]))
"""


def test_looking_whether_a_daemon_runs_does_not_keep_one_from_starting(tmp_path: Path) -> None:
    lock = StateLock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", LOOK, str(tmp_path)], stdout=subprocess.PIPE) as looking:
        assert looking.stdout is not None
        assert looking.stdout.readline() == b"looking\n"
        try:
            for _ in range(50):
                lock.acquire()
                lock.release()
        finally:
            looking.kill()
    assert not is_held(tmp_path)


@pytest.mark.parametrize("kind", [fcntl.LOCK_SH, fcntl.LOCK_EX], ids=["who only looks", "what a dead one has forked"])
def test_a_holder_that_is_no_daemon_is_waited_for_though_it_gets_no_processor_for_a_while(
    tmp_path: Path, kind: int
) -> None:
    with another_process_holds(tmp_path) as dead:
        dead.kill()
    held = os.open(tmp_path / "daemon.lock", os.O_RDWR)
    fcntl.flock(held, kind)
    threading.Timer(1.0, os.close, [held]).start()
    with StateLock(tmp_path):
        assert is_held(tmp_path)


def test_a_state_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError) as caught:
        StateLock(tmp_path / "file" / "state").acquire()
    assert caught.value.lines == (f"daemon.state_dir {tmp_path / 'file' / 'state'} cannot be written: Not a directory",)


def test_what_is_written_is_what_is_found(locked: Path) -> None:
    write_runtime(locked, RUNTIME)
    assert find_daemon(locked) == RUNTIME
    assert json.loads((locked / "runtime.json").read_text()) == {
        "pid": 4711,
        "nats_url": "nats://secret@127.0.0.1:4222",
        "http_url": "http://127.0.0.1:8080",
        "started_at": "2026-11-20T10:15:30.123Z",
    }


def test_the_file_is_for_its_owner_alone_and_leaves_no_draft(locked: Path) -> None:
    before = os.umask(0)
    try:
        write_runtime(locked, RUNTIME)
        write_runtime(locked, RUNTIME)
    finally:
        os.umask(before)
    assert stat.S_IMODE((locked / "runtime.json").stat().st_mode) == 0o600
    assert sorted(path.name for path in locked.iterdir()) == ["daemon.lock", "runtime.json"]


def test_credentials_do_not_show_in_its_text() -> None:
    assert "secret" not in repr(RUNTIME)


def test_removing_it_twice_is_fine(locked: Path) -> None:
    write_runtime(locked, RUNTIME)
    remove_runtime(locked)
    remove_runtime(locked)
    assert not (locked / "runtime.json").exists()


def test_a_file_that_a_killed_daemon_left_is_no_daemon(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as process:
        write_runtime(tmp_path, RUNTIME)
        assert find_daemon(tmp_path) == RUNTIME
        process.kill()
        process.wait(PATIENCE_S)
        with pytest.raises(NoDaemonError, match=r"^no daemon is running on "):
            find_daemon(tmp_path)


def test_without_a_state_directory_there_is_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(NoDaemonError, match=r"^no daemon is running on "):
        find_daemon(tmp_path / "none")


def test_a_daemon_that_is_starting_is_not_ready_yet(locked: Path) -> None:
    with pytest.raises(NoDaemonError, match=r"is not ready yet$"):
        find_daemon(locked)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', "\x00"])
def test_a_file_that_is_not_ours_is_one_line(locked: Path, content: str) -> None:
    (locked / "runtime.json").write_text(content)
    with pytest.raises(NoDaemonError, match=r"is not the file of this version's daemon$"):
        find_daemon(locked)


def test_own_files_are_for_their_owner_and_nobody_else_writes_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "daemon-id").write_text("x")
    (tmp_path / "daemon-id").chmod(0o666)
    (tmp_path / "notes.txt").write_text("somebody's")
    (tmp_path / "notes.txt").chmod(0o666)
    tmp_path.chmod(0o777)

    secure_state_files(tmp_path)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, *tmp_path.iterdir())}
    assert modes == {tmp_path.name: 0o755, "daemon-id": 0o600, "notes.txt": 0o666}


@pytest.mark.parametrize("name", ["daemon-id", "in-hand", "runtime.json", "nats-token"])
def test_what_is_no_file_in_the_place_of_one_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    with pytest.raises(StartError) as caught:
        secure_state_files(tmp_path)
    assert caught.value.lines == (f"{tmp_path / name} is no regular file: it is the daemon's own, move it away",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "daemon-id").write_text("x")
    os.chown(tmp_path / "daemon-id", 4711, 4711)

    with pytest.raises(StartError, match=r"daemon-id belongs to user 4711"):
        secure_state_files(tmp_path)


def test_own_files_are_written_whole_and_read_with_a_bound(tmp_path: Path) -> None:
    assert read_own(tmp_path / "daemon-id") is None
    write_own(tmp_path / "daemon-id", b"x" * 100_000)
    assert len(read_own(tmp_path / "daemon-id") or b"") == 65_536
    assert stat.S_IMODE((tmp_path / "daemon-id").stat().st_mode) == 0o600
