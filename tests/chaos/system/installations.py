"""What is put to the test: daemons that share one server or a cluster, and one that has everything to itself."""

import asyncio
import os
import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from adapters.cancellation import cancel_and_wait
from adapters.nats.server.embedded_server import EmbeddedServer
from tests.chaos.load.worker import SECRET
from tests.chaos.system.disks import SmallDisk, small_disk
from tests.chaos.system.schedule import DAEMON, DATABASE, DISK, SERVER, Habit
from tests.chaos.system.supervisor import Say, Supervisor
from tests.support.clusters import SIZE, Cluster
from tests.support.daemons import DaemonProcess
from tests.support.databases import PostgresServer
from tests.support.ports import free_port

SERVER_TARGET: Final = "nats-server"
DATABASE_TARGET: Final = "postgresql"
DISK_OF_STREAMS: Final = "disk of the streams"
DISK_OF_DATABASE: Final = "disk of the database"

_DISK_MIB: Final = 160
_DISK_MIB_PER_S: Final = 1.0
"""What is told of dead letters stays, and what daemons that die all the time have not read yet waits: some 0.5 MiB a
second were seen. Only a fault may fill a disk, for nobody would give a disk that is too small its room back."""
_SERVER_DOWN_S: Final = 1.0
_HURRY: Final = f"""
[intake]
ack_wait_s = 6
max_deliver = 10000
trim_interval_s = 1

[outbox]
backoff_max_s = 2

[callbacks]
secrets = ["{SECRET}"]
reorder_s = 5

[work."item.analyse"]
deadline_s = 60
"""
"""What a minute of outages needs: redelivery after seconds, and no message given up for having been delivered often."""


class Installation(ABC):
    """Daemons, the server and the database that they stand on. What can fail of it is named by :meth:`targets`."""

    def __init__(self, folder: Path, say: Say, seconds: float) -> None:
        self.folder = folder
        self._say = say
        self._disk_mib = round(_DISK_MIB + _DISK_MIB_PER_S * seconds)
        self.daemons: list[Supervisor] = []
        self.disks: dict[str, SmallDisk] = {}
        self.skipped: list[str] = []
        self._stack = ExitStack()

    def http_urls(self) -> list[str]:
        """Where the daemons that are ready answer HTTP."""
        return [supervisor.daemon.http_url for supervisor in self.daemons if supervisor.is_ready]

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect: the same for the whole run."""

    @property
    @abstractmethod
    def database_url(self) -> str:
        """As the settings have it."""

    @abstractmethod
    async def start(self) -> None:
        """Start everything; daemons may not be ready yet."""

    @abstractmethod
    def server_pid(self) -> int | None:
        """The living nats-server's process."""

    @abstractmethod
    async def room_is_back(self) -> None:
        """What an operator does once a full disk has room again."""

    @abstractmethod
    async def restart_database(self, down_s: float) -> None:
        """Stop it in good order and start it again, where it is a process of its own."""

    def targets(self) -> Mapping[str, Habit]:
        return {
            **{supervisor.name: DAEMON for supervisor in self.daemons},
            SERVER_TARGET: SERVER,
            **dict.fromkeys(self.disks, DISK),
        }

    def signal_server(self, number: signal.Signals) -> int | None:
        """Send a signal to the nats-server; its process, None where none is running."""
        pid = self.server_pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    async def stop(self) -> None:
        for supervisor in self.daemons:
            await supervisor.stop()
        self._stack.close()

    def _disk(self, name: str, folder: Path) -> Path:
        disk = self._stack.enter_context(small_disk(folder, self._disk_mib))
        if disk is None:
            self.skipped.append(f"{name} is not filled: mounting is not permitted here")
        else:
            self.disks[name] = disk
        return folder

    def _daemon(self, name: str, settings: str) -> None:
        self.daemons.append(Supervisor(name, DaemonProcess(self.folder / name, settings + _HURRY), self._say))


class OnPostgres(Installation):
    """Several daemons on one PostgreSQL."""

    def __init__(self, folder: Path, say: Say, seconds: float) -> None:
        super().__init__(folder, say, seconds)
        self._postgres: PostgresServer | None = None

    @property
    def database_url(self) -> str:
        assert self._postgres is not None
        return self._postgres.url()

    def targets(self) -> Mapping[str, Habit]:
        return {**super().targets(), DATABASE_TARGET: DATABASE}

    async def restart_database(self, down_s: float) -> None:
        assert self._postgres is not None
        await asyncio.to_thread(self._postgres.stop)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self._postgres.start)

    async def _start_database(self) -> None:
        # Its socket's path must be short, and its own user must be let in.
        home = Path(tempfile.mkdtemp(prefix="hg-chaos-pg-"))
        self._stack.callback(shutil.rmtree, home, ignore_errors=True)
        self._postgres = await asyncio.to_thread(PostgresServer, home)
        self._stack.callback(self._postgres.stop)

    def _start_daemons(self, names: Sequence[str], more: str = "") -> None:
        nats = f'[nats]\nmode = "external"\nurl = "{self.url}"\n{more}\n'
        for name in names:
            self._daemon(name, f'{nats}\n[storage]\nurl = "{self.database_url}"\n')
        for supervisor in self.daemons:
            supervisor.start()


class Shared(OnPostgres):
    """Two daemons on one nats-server and one PostgreSQL, sharing the consumers."""

    def __init__(self, folder: Path, say: Say, seconds: float) -> None:
        super().__init__(folder, say, seconds)
        self._server = EmbeddedServer(self._disk(DISK_OF_STREAMS, folder / "streams"), folder / "nats-server")
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> None:
        await self._start_database()
        await self._server.start()
        self._watch = asyncio.create_task(self._server.watch(_as_expected))
        self._start_daemons(("daemon-a", "daemon-b"))

    def server_pid(self) -> int | None:
        return self._server.pid

    async def room_is_back(self) -> None:
        """A server whose streams met a full disk takes no publish until it is restarted."""
        await self._server.restart()

    async def stop(self) -> None:
        for supervisor in self.daemons:
            await supervisor.stop()
        await self._server.stop()
        if self._watch is not None:
            await self._watch
        await super().stop()


class Clustered(OnPostgres):
    """Three daemons on a cluster of three nats-servers, three copies of each stream, and one PostgreSQL."""

    def __init__(self, folder: Path, say: Say, seconds: float) -> None:
        super().__init__(folder, say, seconds)
        self._cluster = Cluster(folder / "cluster")
        self._watch: asyncio.Task[None] | None = None
        self._struck = 0

    @property
    def url(self) -> str:
        return self._cluster.url

    async def start(self) -> None:
        await self._start_database()
        for number in range(SIZE):
            self._cluster.start(number)
        await asyncio.to_thread(self._cluster.wait_healthy)
        self._watch = asyncio.create_task(self._keep_servers())
        self._start_daemons(("daemon-a", "daemon-b", "daemon-c"), "replicas = 3\nconnect_timeout_s = 30\n")

    def server_pid(self) -> int | None:
        """One server after the other is struck: never two at a time on purpose."""
        self._struck = (self._struck + 1) % SIZE
        return self._cluster.pid(self._struck)

    async def room_is_back(self) -> None:
        """Nothing: no disk is filled here."""

    async def stop(self) -> None:
        if self._watch is not None:
            await cancel_and_wait([self._watch])
        for supervisor in self.daemons:
            await supervisor.stop()
        await asyncio.to_thread(self._cluster.end)
        await super().stop()

    async def _keep_servers(self) -> None:
        """What systemd does for each of them."""
        while True:
            await asyncio.sleep(_SERVER_DOWN_S)
            for number in range(SIZE):
                if self._cluster.pid(number) is None:
                    self._cluster.start(number)


class Alone(Installation):
    """One daemon with its embedded server and SQLite, each on a disk of its own."""

    def __init__(self, folder: Path, say: Say, seconds: float) -> None:
        super().__init__(folder, say, seconds)
        self._port = free_port()
        self._database = self._disk(DISK_OF_DATABASE, folder / "database") / "headgate.db"
        streams = self._disk(DISK_OF_STREAMS, folder / "streams")
        settings = f"""
[nats]
port = {self._port}
store_dir = "{streams / "store"}"

[storage]
url = "sqlite:///{self._database}"
"""
        self._daemon("daemon", settings)

    @property
    def url(self) -> str:
        (supervisor,) = self.daemons
        token = (supervisor.daemon.state_dir / "nats-token").read_text(encoding="ascii").strip()
        return f"nats://headgate:{token}@127.0.0.1:{self._port}"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self._database}"

    async def start(self) -> None:
        (supervisor,) = self.daemons
        supervisor.start()

    async def room_is_back(self) -> None:
        """Nothing: the daemon sees to its server and its database by itself."""

    async def restart_database(self, down_s: float) -> None:
        """Nothing: a file has no process, and :meth:`targets` names none."""

    def server_pid(self) -> int | None:
        """The daemon's own child; while another life of the daemon has not begun there is none."""
        (supervisor,) = self.daemons
        pid = supervisor.daemon.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            names = {child: Path(f"/proc/{child}/comm").read_text(encoding="ascii").strip() for child in children}
        except OSError:
            return None
        return next((int(child) for child, name in names.items() if name == "nats-server"), None)


async def _as_expected() -> None:
    """A restarted server needs nothing from us: its address stays the same."""
