"""What systemd does for a daemon: starts it, and starts it again whenever it ends, whatever ended it."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from adapters.cancellation import cancel_and_wait
from tests.support.daemons import DaemonProcess

Say: TypeAlias = Callable[[str], None]
"""Prints a line of the run's log."""

_LOOK_S: Final = 0.05
_RESTART_S: Final = 0.5
_STOP_S: Final = 40.0
"""Twice what a clean stop may take: 10 s for the outbox, the same for storage and connection."""


@dataclass(slots=True)
class Lives:
    """How the lives of one daemon began and ended."""

    starts: int = 0
    ready: int = 0
    refused_starts: list[str] = field(default_factory=list)
    """Starts that failed, as they may while what the daemon stands on is away."""
    ended_by_itself: list[str] = field(default_factory=list)
    """Ends of a daemon that was ready and that nobody told to end."""
    tracebacks: list[str] = field(default_factory=list)
    """What was printed instead of one clear line."""
    disorderly: list[str] = field(default_factory=list)
    """Ends of a daemon that was ready and was told once to end, and that says that it failed."""
    never_ended: int = 0
    """Times that it had to be killed because SIGTERM did not end it."""


class Supervisor:
    """Keeps *daemon* alive. A fault that ends it says so first, and for how long it stays down."""

    def __init__(self, name: str, daemon: DaemonProcess, say: Say) -> None:
        self.name = name
        self._say = say
        self.daemon = daemon
        self.lives = Lives()
        self._down_s: float | None = None
        self._told: list[signal.Signals] = []
        self._told_at = 0.0
        self._lines_before = 0
        self._is_ready = False
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the living process has said that it is ready."""
        return self._is_ready

    def start(self) -> None:
        self._wanted = True
        self._launch()
        self._task = asyncio.create_task(self._supervise(), name=f"supervise-{self.name}")

    def kill(self, down_s: float) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL, down_s)

    def terminate(self, down_s: float) -> None:
        """SIGTERM, as a clean stop begins."""
        self._end(signal.SIGTERM, down_s)

    def pause(self) -> int | None:
        """SIGSTOP; the process that was stopped, None where none was running."""
        if self._exit_code() is not None:
            return None
        self.daemon.signal(signal.SIGSTOP)
        return self.daemon.pid

    def resume(self) -> None:
        """SIGCONT; no harm where it runs or has ended."""
        if self._exit_code() is None:
            self.daemon.signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End the daemon and the watch over it."""
        self._wanted = False
        if self._task is not None:
            await cancel_and_wait([self._task])
        await asyncio.to_thread(self.daemon.end)

    def _launch(self) -> None:
        self._lines_before = len(self.daemon.logs)
        self.daemon.start(wait=False)
        self.lives.starts += 1
        self._is_ready = False
        self._down_s = None
        self._told = []

    def _end(self, number: signal.Signals, down_s: float) -> None:
        if self._exit_code() is None:
            self._down_s = down_s
            self._told.append(number)
            self._told_at = time.monotonic()
            self.daemon.signal(number)

    async def _supervise(self) -> None:
        while True:
            code = self._exit_code()
            if code is None:
                self._look()
                await asyncio.sleep(_LOOK_S)
                continue
            await asyncio.sleep(self._account_for_end(code))
            if self._wanted:
                self._launch()

    def _look(self) -> None:
        if not self._is_ready and self._says_ready():
            self._is_ready = True
            self.lives.ready += 1
        if self._down_s is not None and time.monotonic() - self._told_at > _STOP_S:
            self.lives.never_ended += 1
            self._told_at = time.monotonic()
            self._told.append(signal.SIGKILL)
            self.daemon.signal(signal.SIGKILL)

    def _account_for_end(self, code: int) -> float:
        """How long it stays down."""
        printed = [str(line["text"]) for line in self.daemon.logs[self._lines_before :] if "text" in line]
        if any("Traceback" in line for line in printed):
            self.lives.tracebacks.append(f"{self.name}: {' / '.join(printed[-12:])}")
        told = f"{self.name} ended with {code} after {str(self.daemon.logs[-1:])[:300]}"
        if self._down_s is not None:
            if code and self._is_ready and self._told == [signal.SIGTERM]:
                self.lives.disorderly.append(told)
                self._say(told)
            return self._down_s
        self._say(told)
        (self.lives.ended_by_itself if self._is_ready else self.lives.refused_starts).append(told)
        return _RESTART_S

    def _says_ready(self) -> bool:
        try:
            return self.daemon.runtime["pid"] == str(self.daemon.pid)
        except (FileNotFoundError, ValueError, KeyError):
            return False

    def _exit_code(self) -> int | None:
        try:
            return self.daemon.wait_end(0)
        except subprocess.TimeoutExpired:
            return None
