"""Garbage in the daemon's own files does not keep it from starting."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.daemons import DaemonProcess

FILES = ("daemon-id", "in-hand", "runtime.json", "url-secret", "nats-token")


@pytest.mark.process
@pytest.mark.parametrize("content", [b"", b"\xff\x00\n" * 30, b"'\"; DROP\n{}" * 9_000], ids=["empty", "bytes", "long"])
def test_the_daemon_starts_on_garbage_in_its_files_and_makes_them_private(tmp_path: Path, content: bytes) -> None:
    daemon = DaemonProcess(tmp_path / "home")
    daemon.state_dir.mkdir(parents=True)
    for name in FILES:
        (daemon.state_dir / name).write_bytes(content)
        (daemon.state_dir / name).chmod(0o666)
    daemon.database.touch()  # SQLite takes an empty file for a new database
    daemon.database.chmod(0o666)
    before = os.umask(0)
    try:
        daemon.start()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in daemon.state_dir.iterdir() if path.is_file()}
    finally:
        os.umask(before)
        daemon.end()

    assert {name for name, mode in modes.items() if mode != 0o600 and not name.endswith(".ports")} == set()
    assert set(FILES) <= set(modes)
    assert stat.S_IMODE(daemon.database.stat().st_mode) == 0o600
