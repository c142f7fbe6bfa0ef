"""What systemd wants to know of a ``Type=notify`` service: ready, stopping, and that the event loop still turns."""

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Final

import structlog

log = structlog.get_logger(__name__)

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"


class Supervisor:
    """The service manager above this process; every call does nothing where there is none."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        """Silence after which the manager takes the process for dead; ``None``: it does not watch."""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> "Supervisor":
        """Read ``NOTIFY_SOCKET`` and the watchdog's variables, and take them away: children must not speak for us."""
        address = environment.pop("NOTIFY_SOCKET", "")
        interval_us = environment.pop("WATCHDOG_USEC", "")
        watched_pid = environment.pop("WATCHDOG_PID", "")
        for_us = not watched_pid or watched_pid == str(os.getpid())
        watched = interval_us.isdecimal() and int(interval_us) > 0 and for_us
        return cls(address, int(interval_us) / 1_000_000 if watched else None)

    def ready(self, status: str) -> None:
        self._send(READY, f"STATUS={status}")

    def stopping(self, status: str) -> None:
        self._send(STOPPING, f"STATUS={status}")

    def status(self, status: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={status}")

    async def keep_alive(self, is_alive: Callable[[], bool]) -> None:
        """Tell the watchdog twice in its interval that the process lives, as long as *is_alive* agrees.

        Runs until it is cancelled; returns at once where nobody watches. A loop that hangs says nothing by itself.
        """
        if not self._address or self.watchdog_s is None:
            return
        while True:
            if is_alive():
                self._send(ALIVE)
            await asyncio.sleep(self.watchdog_s / 2)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # systemd writes an abstract socket with an @ where the address has its null byte
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), address)
        except OSError as error:
            log.warning("systemd_not_notified", message=lines[0], error=str(error))
