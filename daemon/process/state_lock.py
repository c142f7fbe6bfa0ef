"""One daemon for one state directory: an ``flock`` that lives as long as its process, however that ends."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final, Self

from daemon.errors import StartError

_NAME: Final = "daemon.lock"
_PATIENCE_S: Final = 0.5
_LONG_PATIENCE_S: Final = 10.0
"""For a holder that is no daemon: who only looks whether one runs, or what a killed one had just forked. On a machine
that is busy with something else it may not come to its next step for a while."""
_POLL_S: Final = 0.02


class StateLock:
    """The exclusive lock on one state directory, for a ``with`` block or by hand. Releasing twice is fine."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Make the folder where it is missing and take its lock.

        Blocks for half a second where another daemon has it, and for ten where somebody has it who is none. Raises
        :class:`StartError` where it is not free then, or where the folder cannot be written.
        """
        descriptor = self._open()
        began = time.monotonic()
        while not _taken(descriptor, fcntl.LOCK_EX):
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            patience_s = _PATIENCE_S if _is_a_daemons(descriptor, holder) else _LONG_PATIENCE_S
            if time.monotonic() - began >= patience_s:
                os.close(descriptor)
                raise StartError(
                    f"daemon.state_dir {self._state_dir} is in use by another daemon (process {holder or 'unknown'})"
                )
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._state_dir / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"daemon.state_dir {self._state_dir} cannot be written: {error.strerror}") from None


def is_held(state_dir: Path) -> bool:
    """Whether a daemon that lives, ready or not, has the state directory."""
    try:
        descriptor = os.open(state_dir / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _taken(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _is_a_daemons(descriptor: int, holder: str) -> bool:
    """Whether the lock is that of the living process *holder*: who only looks shares it, and the dead have none."""
    if _taken(descriptor, fcntl.LOCK_SH):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False
    return holder.isdigit() and holder != str(os.getpid()) and _lives(int(holder))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
