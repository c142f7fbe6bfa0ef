"""The lock beside a JetStream store: one server at a time, also where another program started it.

nats-server takes no lock of its own: two servers on one store serve the same streams and destroy each other's index.
The lock is an ``flock`` on a file beside the store, taken before the server is spawned and inherited by it, so that it
lasts as long as the daemon *or* the server does. A server whose daemon was killed therefore still holds it, and is told
from a living daemon by looking at which processes have the lock file open.
"""

import asyncio
import errno
import fcntl
import os
import signal
import time
from pathlib import Path

from adapters.errors import StoreHeldError, StoreUnusableError

HOLDER_EXIT_S = 10.0
LEFT_OVER_TERM_S = 5.0
LEFT_OVER_KILL_S = 30.0
"""Also who was killed ends only when the disk has written what it was asked to."""
_POLL_S = 0.02


class StoreLock:
    """An exclusive lock on one store directory, shared with the server by inheritance of :attr:`fd`."""

    def __init__(self, store_dir: Path, server_name: str) -> None:
        self._path = store_dir.parent / f"{store_dir.name}.lock"
        self._server_name = server_name
        self._fd: int | None = None

    @property
    def path(self) -> Path:
        return self._path

    @property
    def fd(self) -> int:
        if self._fd is None:
            raise RuntimeError("the store lock is not held")
        return self._fd

    async def acquire(self) -> list[int]:
        """Take the lock, ending a server that a killed daemon left behind; answers the process ids that were ended.

        Raises :class:`StoreHeldError` where a living daemon (or a process that is not certainly a left-over) holds
        it and :class:`StoreUnusableError` where the lock file cannot be written.
        """
        fd = self._open()
        ended: list[int] = []
        try:
            if not _try_lock(fd):
                ended = await self._end_left_over(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return ended

    def release(self) -> None:
        """Give the lock up; a server that inherited it still holds its share. Releasing twice is fine."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusableError(f"cannot open the store lock {self._path}: {error.strerror}") from error

    async def _end_left_over(self, fd: int) -> list[int]:
        servers = await self._servers_or_free(fd)
        if not servers:
            return []
        for sign, patience_s in ((signal.SIGTERM, LEFT_OVER_TERM_S), (signal.SIGKILL, LEFT_OVER_KILL_S)):
            for pid in servers:
                _signal(pid, sign)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if _try_lock(fd):
                    return servers
                await asyncio.sleep(_POLL_S)
        left = _listed(servers)
        raise StoreHeldError(f"the store beside {self._path} is held by nats-server {left}, which does not end")

    async def _servers_or_free(self, fd: int) -> list[int]:
        """The left-over servers, or none where the lock became free meanwhile.

        A daemon that was killed a moment ago, and its server with it, may still be on the way out, nameless or not to
        be seen any more while one of its threads waits for the disk: no reason to refuse the start before they have
        had the time to be gone.
        """
        deadline = time.monotonic() + HOLDER_EXIT_S
        while True:
            try:
                return self._left_over_servers(fd)
            except StoreHeldError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_POLL_S)
            if _try_lock(fd):
                return []

    def _left_over_servers(self, own_fd: int) -> list[int]:
        """The servers that hold the lock file open, where only servers do."""
        holders = _holders(os.fstat(own_fd))
        daemons = [pid for pid, name in holders if name != self._server_name]
        if daemons:
            raise StoreHeldError(f"the store beside {self._path} is in use by process {_listed(daemons)}")
        if not holders:
            raise StoreHeldError(f"the store beside {self._path} is locked by a process that is not visible from here")
        return [pid for pid, _ in holders]


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise StoreUnusableError(f"cannot lock the store: {error.strerror}") from error
    return True


def _holders(lock_file: os.stat_result) -> list[tuple[int, str]]:
    """Other processes that have the file open, as (process id, name of their executable)."""
    processes = [entry for entry in _listing(Path("/proc")) if entry.name.isdigit() and int(entry.name) != os.getpid()]
    return [(int(process.name), _executable(process)) for process in processes if _has_open(process, lock_file)]


def _has_open(process: Path, file: os.stat_result) -> bool:
    for link in _listing(process / "fd"):
        try:
            opened = link.stat()
        except OSError:
            continue
        if (opened.st_dev, opened.st_ino) == (file.st_dev, file.st_ino):
            return True
    return False


def _listing(folder: Path) -> list[Path]:
    """The entries of a folder of /proc: nothing where the process is gone or another user's, or without /proc."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _executable(process: Path) -> str:
    try:
        return (process / "exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return ""


def _signal(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise StoreHeldError(f"nats-server {pid} holds the store and may not be ended: {error.strerror}") from error


def _listed(pids: list[int]) -> str:
    return ", ".join(map(str, pids))
