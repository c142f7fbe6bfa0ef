"""The daemon's own files in its state directory: for its user alone, and whatever they hold, the start is clean or one
clear line."""

import os
import stat
from pathlib import Path
from typing import Final

from daemon.errors import StartError

_OWN: Final = (
    "daemon.lock",
    "daemon-id",
    "in-hand",
    "runtime.json",
    "url-secret",
    "nats-server.conf",
    "nats-server.log",
    "nats-server.out",
    "nats-token",
    "nats-*-password",
    "nats-websocket-port",
)
_DATABASES: Final = ("*.db", "*.db-wal", "*.db-shm")
"""Whose they are is for the database to say; where they are ours, they are nobody else's."""
_PRIVATE: Final = 0o600
_OTHERS_MAY_WRITE: Final = 0o022
_MOST_BYTES: Final = 65_536


def secure_state_files(state_dir: Path) -> None:
    """Take from others what they may not have: reading our files, and writing in the folder.

    Raises :class:`StartError` for what is not a file, or is another user's: it would be read, or written, by whom we do
    not know.
    """
    try:
        _tighten(state_dir, stat.S_IMODE(state_dir.stat().st_mode) & ~_OTHERS_MAY_WRITE)
        for pattern in _OWN:
            for file in state_dir.glob(pattern):
                _secure(file)
        for pattern in _DATABASES:
            for file in state_dir.glob(pattern):
                if stat.S_ISREG(file.lstat().st_mode) and file.lstat().st_uid == os.geteuid():
                    _tighten(file, _PRIVATE)
    except OSError as error:
        raise StartError(f"{error.filename or state_dir}: {error.strerror}") from None


def _secure(file: Path) -> None:
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise StartError(f"{file} is no regular file: it is the daemon's own, move it away")
    if found.st_uid != os.geteuid():
        raise StartError(
            f"{file} belongs to user {found.st_uid}, the daemon is {os.geteuid()}: change its owner or remove it"
        )
    _tighten(file, _PRIVATE)


def _tighten(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def read_own(file: Path) -> bytes | None:
    """What the file holds, at most 64 KiB of it; None where there is none. Raises ``OSError``."""
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except FileNotFoundError:
        return None


def write_own(file: Path, content: bytes) -> None:
    """Put the file in place in one step, readable by its owner alone from its first moment. Raises ``OSError``."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as written:
        written.write(content)
        os.fsync(written.fileno())
    draft.replace(file)
