"""Carrying out the planned faults, each target on its own, and leaving everything as it was in the end."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from tests.chaos.system.installations import Installation
from tests.chaos.system.schedule import FaultKind, Planned
from tests.chaos.system.supervisor import Say, Supervisor


class FaultRunner:
    """Runs plans against one installation; ``log`` holds every fault as it was done."""

    def __init__(self, installation: Installation, say: Say) -> None:
        self._installation = installation
        self._supervisors = {supervisor.name: supervisor for supervisor in installation.daemons}
        self._say = say
        self.done: list[Planned] = []

    async def run(self, plans: Sequence[Sequence[Planned]]) -> None:
        """Return when every plan has come to its end and every fault is over."""
        started = time.monotonic()
        await asyncio.gather(*(self._run_plan(plan, started) for plan in plans))

    async def _run_plan(self, plan: Sequence[Planned], started: float) -> None:
        for planned in plan:
            await asyncio.sleep(max(0.0, started + planned.at_s - time.monotonic()))
            self._say(f"{planned.target}: {planned.fault.partition(': ')[2]}, {planned.lasts_s:.1f} s")
            self.done.append(planned)
            await self._do(planned)

    async def _do(self, planned: Planned) -> None:
        match planned.fault:
            case FaultKind.DAEMON_KILL:
                self._supervisors[planned.target].kill(planned.lasts_s)
            case FaultKind.DAEMON_STOP:
                self._supervisors[planned.target].terminate(planned.lasts_s)
            case FaultKind.DAEMON_PAUSE:
                await _pause_daemon(self._supervisors[planned.target], planned.lasts_s)
            case FaultKind.SERVER_KILL:
                self._installation.signal_server(signal.SIGKILL)
            case FaultKind.SERVER_PAUSE:
                await self._pause_server(planned.lasts_s)
            case FaultKind.DISK_FULL:
                await self._fill(planned.target, planned.lasts_s)
            case FaultKind.DATABASE_RESTART:
                await self._installation.restart_database(planned.lasts_s)

    async def _pause_server(self, lasts_s: float) -> None:
        pid = self._installation.signal_server(signal.SIGSTOP)
        try:
            await asyncio.sleep(lasts_s)
        finally:
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def _fill(self, target: str, lasts_s: float) -> None:
        disk = self._installation.disks[target]
        await asyncio.to_thread(disk.fill)
        try:
            await asyncio.sleep(lasts_s)
        finally:
            disk.free()
        await self._installation.room_is_back()


async def _pause_daemon(supervisor: Supervisor, lasts_s: float) -> None:
    if supervisor.pause() is None:
        return
    try:
        await asyncio.sleep(lasts_s)
    finally:
        supervisor.resume()
