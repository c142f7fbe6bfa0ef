"""Durable intake: four contenders work the same preloaded stream off, in turn, round after round."""

import asyncio
import sqlite3
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

import orjson
from nats.aio.client import Client

from bench.contenders.job import Job
from bench.setting.daemon_process import Home, daemon, missing_rows, spawned
from bench.setting.messages import SUBJECT, Form, Load
from bench.setting.processes import Child, OthersWatch, child
from bench.setting.server import connected, fresh_server
from bench.setting.streams import CONSUMER, INGEST, BenchError, ConsumerWatch, fill, make_streams

TIMEOUT_S: Final = 600.0
DISTURBED: Final = 0.1
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Round:
    """One contender's way through the stream, once. ``others`` is the share of the machine that other programs took."""

    messages: int
    seconds: float
    cpu_us_per_message: float
    rss_mib: float
    peak_mib: float
    redelivered: int
    others: float

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def disturbed(self) -> bool:
        """Whether so much was taken that the round says little: the shorter it is, the more a neighbour costs it."""
        return self.others > DISTURBED


@dataclass(slots=True)
class Results:
    """All rounds of all contenders."""

    rounds: dict[str, list[Round]] = field(default_factory=dict)

    @property
    def disturbed(self) -> int:
        """How many rounds other programs disturbed."""
        return sum(one.disturbed for rounds in self.rounds.values() for one in rounds)

    def rate(self, name: str) -> float | None:
        """The median messages a second, or none for one that did not run."""
        rounds = self.rounds.get(name)
        return statistics.median(one.rate for one in rounds) if rounds else None

    def ratio(self, name: str, to: str) -> float | None:
        """The median of the ratios round by round: neighbours in time share the machine's mood."""
        pairs = zip(self.rounds.get(name, []), self.rounds.get(to, []), strict=False)
        ratios = [one.rate / other.rate for one, other in pairs]
        return statistics.median(ratios) if ratios else None


class Contender(Protocol):
    """One who races."""

    @property
    def name(self) -> str: ...
    @property
    def consumer(self) -> str: ...

    async def make_stream(self, client: Client, url: str, root: Path) -> None:
        """Make the stream, so that it can be filled."""

    def run(self, url: str, root: Path) -> AbstractAsyncContextManager[Child]:
        """Work the stream off for the length of the block; the process has ended after it."""

    def faults(self, root: Path, messages: int) -> list[str]:
        """What it did wrong, looked at after it ended."""


@dataclass(frozen=True, slots=True)
class Headgate:
    """The daemon itself, on an external server that was filled while it was down."""

    name: str = "headgate"
    consumer: str = CONSUMER

    async def make_stream(self, client: Client, url: str, root: Path) -> None:
        """A first, short life of the daemon makes streams, consumers and tables."""
        home = Home(root)
        home.configure(url)
        async with daemon(home):
            await client.jetstream().stream_info(INGEST)

    @asynccontextmanager
    async def run(self, url: str, root: Path) -> AsyncIterator[Child]:  # noqa: ARG002 - its configuration names the server
        # Not `daemon`: it is ready after it began to pull, and the watch must see the first delivery.
        async with spawned(Home(root)) as process:
            yield process

    def faults(self, root: Path, messages: int) -> list[str]:
        return missing_rows(Home(root), messages)


@dataclass(frozen=True, slots=True)
class Script:
    """A contender of :mod:`bench.contenders`."""

    name: str
    module: str
    stores: bool = False
    consumer: str = CONSUMER

    async def make_stream(self, client: Client, url: str, root: Path) -> None:  # noqa: ARG002 - part of the protocol
        await make_streams(client, consumers=self.consumer == CONSUMER)

    @asynccontextmanager
    async def run(self, url: str, root: Path) -> AsyncIterator[Child]:
        job = Job(url, INGEST, SUBJECT, self.consumer, str(root / "contender.db"))
        command = [sys.executable, "-m", f"bench.contenders.{self.module}", job.to_argument()]
        async with child(command, root / "contender.out") as process:
            yield process

    def faults(self, root: Path, messages: int) -> list[str]:
        said = (root / "contender.out").read_bytes().splitlines()
        told: dict[str, int] = orjson.loads(said[-1]) if said else {}
        wrong = [f"{what}: {count:,} instead of {messages:,}" for what, count in told.items() if count != messages]
        if not told:
            wrong.append("it did not say what it did")
        return wrong + self._missing_rows(root, messages) if self.stores else wrong

    def _missing_rows(self, root: Path, messages: int) -> list[str]:
        with closing(sqlite3.connect(root / "contender.db")) as database:
            counts = {
                table: database.execute(f"SELECT count(DISTINCT message_id) FROM {table}").fetchone()[0]
                for table in ("inbox", "session_usage")
            }
        return [f"{table}: {count:,} rows" for table, count in counts.items() if count != messages]


HANDLER, BATCH, BARE = "faststream handler", "faststream batch", "bare pull"
CONTENDERS: Final[tuple[Contender, ...]] = (
    Headgate(),
    Script(HANDLER, "faststream_handler", stores=True, consumer="contender"),
    Script(BATCH, "faststream_batch"),
    Script(BARE, "bare_pull"),
)


async def measure(
    contenders: Sequence[Contender], messages: int, rounds: int, work_dir: Path, say: Say, form: Form = Form.COMPACT
) -> Results:
    """Race, interleaved: a, b, c, d, a, b, c, d. Raises :class:`BenchError` where a contender was wrong."""
    results = Results()
    for number in range(1, rounds + 1):
        for contender in contenders:
            with TemporaryDirectory(dir=work_dir) as folder:
                done = await race_once(contender, Load.of(messages, form=form), Path(folder))
            results.rounds.setdefault(contender.name, []).append(done)
            disturbed = f"  (other programs took {done.others:.0%} of the machine)" if done.disturbed else ""
            cost = f"{done.cpu_us_per_message:>6.1f} us each"
            told = f"{form:<10}  {contender.name:<20} {done.rate:>10,.0f} messages/s {cost}{disturbed}"
            say(f"round {number}/{rounds}  {told}")
    return results


async def race_once(contender: Contender, load: Load, root: Path, stored: int = 0) -> Round:
    """One contender, one fresh server, one full stream; *stored* messages are in its database at *root* already."""
    with TemporaryDirectory(dir=root.parent) as folder:
        async with fresh_server(Path(folder)) as url, connected(url) as client:
            await contender.make_stream(client, url, root)
            last = await fill(client, load.bodies())
            done = await _work_off(contender, client, url, root, load.count, last)
    faults = await asyncio.to_thread(contender.faults, root, stored + load.count)
    if faults:
        raise BenchError(f"{contender.name} was wrong: {'; '.join(faults)}")
    return done


async def _work_off(contender: Contender, client: Client, url: str, root: Path, messages: int, last: int) -> Round:
    others = OthersWatch()
    async with contender.run(url, root) as process:
        worked = await ConsumerWatch(client, contender.consumer).until(last, process, TIMEOUT_S)
        cpu_s = process.cpu_s()
        rss_mib, peak_mib = process.memory_mib()
        share = others.share()
    return Round(
        messages=messages,
        seconds=worked.seconds,
        cpu_us_per_message=cpu_s / messages * 1e6,
        rss_mib=rss_mib,
        peak_mib=peak_mib,
        redelivered=worked.redelivered,
        others=share,
    )
