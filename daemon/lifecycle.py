"""In which order the parts of the daemon begin and end.

Begin: adopt what a dead predecessor left, take the lease, pull, serve commands, start the loops, then take messages in
and say that the daemon is ready. End: stop taking anything in, finish what is in hand, publish what is committed, give
the lease up.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from adapters.nats.streams.pull import ContinuousPull
from contracts.subjects import Family
from contracts.values.times import format_micros
from daemon.clock import now_micros
from daemon.commands.command_server import CommandServer
from daemon.http.console import Console
from daemon.intake.in_hand import InHand
from daemon.intake.intake import Intake
from daemon.maintenance.lease_heartbeat import LeaseHeartbeat
from daemon.maintenance.loop import Loop, LoopRunner, Service
from daemon.observability.readiness import Phase, Readiness
from daemon.outbox.outbox_adoption import adopt_outbox
from daemon.outbox.relay import Relay
from daemon.process.connections import Nats
from daemon.process.runtime_file import Runtime, remove_runtime, write_runtime
from daemon.process.systemd import Supervisor
from daemon.settings.model import Settings
from storage.engine.database import Database
from storage.engine.failures import StorageError

_LEAST_STEP_S: Final = 1.0

log = structlog.get_logger(__name__)


class Announcement:
    """Tells others that the daemon is ready: the runtime file, the process supervisor, the log."""

    def __init__(
        self,
        settings: Settings,
        *,
        daemon_id: str,
        nats: Nats,
        http_url: str,
        console: Console,
        readiness: Readiness,
        supervisor: Supervisor,
    ) -> None:
        self._state_dir = settings.daemon.state_dir
        self._daemon_id = daemon_id
        self._nats = nats
        self._http_url = http_url
        self._console = console
        self._readiness = readiness
        self._supervisor = supervisor

    def ready(self) -> None:
        """The log first: whoever waits for the runtime file or for the supervisor then finds everything said."""
        self._readiness.enter(Phase.RUNNING)
        if self._console.off:
            log.info("no_console", reason=self._console.off)
        log.info("ready", pid=os.getpid(), http_url=self._http_url, console=self._console.url, daemon=self._daemon_id)
        self.write_runtime()
        self._supervisor.ready("ready")

    def write_runtime(self) -> None:
        """Say where the daemon is reached; again after its server was started anew."""
        write_runtime(
            self._state_dir, Runtime(os.getpid(), self._nats.url, self._http_url, format_micros(now_micros()))
        )

    def stopping(self) -> None:
        self._readiness.enter(Phase.STOPPING)
        self._supervisor.stopping("stopping")
        log.info("stopping")
        self.withdraw()

    def withdraw(self) -> None:
        remove_runtime(self._state_dir)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that have a beginning and an end."""

    settings: Settings
    daemon_id: str
    database: Database
    announcement: Announcement
    heartbeat: LeaseHeartbeat
    relay: Relay
    pulls: Mapping[Family, ContinuousPull]
    in_hand: InHand
    give_back_held: Callable[[], Awaitable[None]] | None
    """Gives back what a predecessor held; None where there was none, or where it has given all of it back itself."""
    intakes: Sequence[Intake]
    commands: CommandServer
    loops: Sequence[Loop]
    services: Sequence[Service]
    runner: LoopRunner


class StopTime:
    """The time that a stop may take to end what is in hand, shared by its steps.

    A step that comes late still gets a moment: what is quick is done although something before it was not.
    """

    def __init__(self, stop_timeout_s: float) -> None:
        self._until = anyio.current_time() + stop_timeout_s
        self._least_s = min(stop_timeout_s, _LEAST_STEP_S)
        self.was_enough = True
        """Whether no step had to be cut short so far."""

    def until(self) -> float:
        """When a step that begins now is to be over, by the clock of the loop."""
        return max(self._until, anyio.current_time() + self._least_s)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Cut the block short where its time is over, and say so: the rest of the stop goes on."""
        with anyio.CancelScope(deadline=self.until()) as scope:
            yield
        if scope.cancelled_caught:
            self.missed(name)

    def missed(self, step: str) -> None:
        self.was_enough = False
        log.warning("stop_cut_short", step=step)


class Daemon:
    """Runs until told to stop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stop_timeout_s = parts.settings.daemon.stop_timeout_s

    async def run_until(self, stop: asyncio.Event) -> None:
        """Become ready, work until *stop*, then end in order. Raises what no loop can heal, as an exception group."""
        parts = self._parts
        try:
            async with anyio.create_task_group() as loops:
                await self._begin(loops)
                time_left = await self._take_in_until(stop)
                with time_left.step("outbox"):
                    await parts.relay.flush()
                loops.cancel_scope.cancel()
            await self._give_lease_up(time_left)
            log.info("stopped")
        finally:
            parts.in_hand.abandon()
            parts.announcement.withdraw()

    async def _take_in_until(self, stop: asyncio.Event) -> StopTime:
        """Take messages in until *stop*, then finish what is in hand. The answer is the time that is left for the rest.

        What could not be finished is not noted as given back: the next daemon on the same folder gives it back.
        """
        parts = self._parts
        async with anyio.create_task_group() as intakes:
            for intake in parts.intakes:
                intakes.start_soon(intake.run)
            parts.announcement.ready()
            await stop.wait()
            time_left = StopTime(self._stop_timeout_s)
            await self._end_intake(time_left)
            intakes.cancel_scope.deadline = time_left.until()
        if intakes.cancel_scope.cancelled_caught:
            time_left.missed("intake")
        if time_left.was_enough:
            parts.in_hand.end()
        return time_left

    async def _give_lease_up(self, time_left: StopTime) -> None:
        """Where storage is away the lease runs out by itself: that is no reason to end otherwise than in order."""
        try:
            with time_left.step("lease"):
                await self._parts.heartbeat.end()
        except StorageError as error:
            log.warning("lease_not_given_up", reason=str(error))

    async def _begin(self, loops: TaskGroup) -> None:
        parts = self._parts
        await adopt_outbox(parts.database, parts.settings.daemon.state_dir, parts.daemon_id)
        await parts.heartbeat.beat()
        if parts.give_back_held is not None:
            await parts.give_back_held()
        for pull in parts.pulls.values():
            await pull.start()
        await parts.commands.open(loops)
        parts.runner.start(loops, parts.loops, parts.services)

    async def _end_intake(self, time_left: StopTime) -> None:
        parts = self._parts
        parts.announcement.stopping()
        parts.database.wait_briefly()
        with time_left.step("commands"):
            await parts.commands.close()
            await parts.commands.finish()
        for intake, pull in zip(parts.intakes, parts.pulls.values(), strict=True):
            intake.stop()
            with time_left.step(f"pull of {pull.stream}"):
                await pull.drain()
