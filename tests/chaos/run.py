"""One run: producers, faults, healing, rest, and the comparison."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from structlog.testing import capture_logs

from tests.chaos.comparison.checker import TABLES, Checker, Seen
from tests.chaos.comparison.evidence import Evidence, Metrics, read_metrics, read_stream, save
from tests.chaos.comparison.findings import Findings
from tests.chaos.comparison.quiet import NotQuietError, wait_for_quiet
from tests.chaos.load.hostile import Hostile
from tests.chaos.load.journal import Journal
from tests.chaos.load.producers import Producer, connected
from tests.chaos.load.worker import Worker
from tests.chaos.system.faults import FaultRunner
from tests.chaos.system.installations import Alone, Clustered, Installation, Shared
from tests.chaos.system.schedule import plan
from tests.chaos.system.supervisor import Say
from tests.support.commands import ask

VARIANTS: Final[dict[str, Callable[[Path, Say, float], Installation]]] = {
    "shared": Shared,
    "alone": Alone,
    "cluster": Clustered,
}

_PRODUCERS: Final = 4
_PAUSE_S: Final = 0.25
_START_S: Final = 300.0
"""Only against standing still: three servers, a new database and three daemons start at once on a busy machine."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``kept`` is the folder of logs and tables where something was wrong."""

    seed: str
    variant: str
    findings: Findings
    figures: Counter[str]
    kept: Path | None


@dataclass(slots=True)
class Run:
    """One variant under one seed, for *seconds* of faults and then as long as it takes to come to rest."""

    variant: str
    seed: str
    seconds: float
    still_s: float = 60.0
    findings: Findings = field(default_factory=Findings)
    figures: Counter[str] = field(default_factory=Counter)
    _started: float = field(default_factory=time.monotonic)

    async def run(self) -> Outcome:
        """Run it to its end, whatever comes; nothing of it is left running."""
        folder = Path(tempfile.mkdtemp(prefix=f"headgate-chaos-{self.variant}-"))
        installation = VARIANTS[self.variant](folder, self._say, self.seconds)
        self._say(f"seed {self.seed}, {self.variant}, {self.seconds:.0f} s")
        for skipped in installation.skipped:
            self._say(skipped)
        with capture_logs():  # the harness's own nats-server speaks of its restarts
            try:
                async with asyncio.timeout(_START_S):
                    await installation.start()
                    await _all_ready(installation)
                await self._put_to_the_test(installation)
            finally:
                await installation.stop()
        self._report()
        if self.findings:
            self._say(f"logs and tables are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        return Outcome(self.seed, self.variant, self.findings, self.figures, folder if self.findings else None)

    async def _put_to_the_test(self, installation: Installation) -> None:
        journal = Journal()
        producers = [Producer(number, self.seed, journal) for number in range(_PRODUCERS)]
        await asyncio.gather(*(producer.open(installation.url) for producer in producers))
        worker = Worker(self.seed, journal)
        await worker.open(installation.url)
        hostile = Hostile(self.seed, journal, installation.http_urls)
        await hostile.open(installation.url)
        over = asyncio.Event()
        publishing = [asyncio.create_task(producer.publish(over, pause_s=_PAUSE_S)) for producer in producers]
        publishing.append(asyncio.create_task(hostile.harm(over)))
        faults = FaultRunner(installation, self._say)
        try:
            await faults.run(list(plan(self.seed, self.seconds, installation.targets()).values()))
        finally:
            over.set()
            await asyncio.gather(*publishing)
        self._say(f"faults are over: {len(journal.stored)} messages stored, {len(journal.unconfirmed)} unconfirmed")
        for harm, times in hostile.done.items():
            self.figures[f"harm: {harm}"] = times
        for done in faults.done:
            self.figures[f"fault: {done.fault}"] += 1
        await self._compare(installation, journal)
        await asyncio.gather(worker.close(), hostile.close(), *(producer.close() for producer in producers))

    async def _compare(self, installation: Installation, journal: Journal) -> None:
        evidence = Evidence(installation.database_url)
        nc = await connected(installation.url)
        try:
            seconds = await wait_for_quiet(installation.daemons, nc, evidence, self._say, still_s=self.still_s)
            self._say(f"at rest after {seconds:.1f} s")
            self.figures["seconds until rest"] = round(seconds)
        except NotQuietError as error:
            self.findings.add("it did not come to rest", error)
            self._account_for_lives(installation)
            self._account_for_disks(installation)
            await nc.close()
            return  # what goes on while it is looked at says nothing
        tables = {name: await evidence.table(name) for name in TABLES}
        told = await read_stream(nc, "HG_DEAD")
        seen = Seen(journal, tables, told, await _metrics(installation))
        compared = (await ask(nc, "hg.ops.health-check", {"deep": True}, timeout_s=60.0)).result
        if (aggregates := compared["dependencies"]["aggregates"])["status"] != "healthy":
            self.findings.add("the daemon's own comparison of totals differs", aggregates)
        await nc.close()
        checker = Checker(seen, self.findings, self.figures)
        checker.check()
        self._account_for_lives(installation)
        self._account_for_disks(installation)
        self._count(journal)
        if self.findings:
            for name, rows in tables.items():
                save(installation.folder, name, rows)

    def _account_for_lives(self, installation: Installation) -> None:
        for supervisor in installation.daemons:
            lives = supervisor.lives
            self.figures["lives of daemons"] += lives.starts
            self.figures["starts that were refused"] += len(lives.refused_starts)
            for told in lives.ended_by_itself:
                self.findings.add("a daemon that was ready ended by itself", told)
            for told in lives.disorderly:
                self.findings.add("a daemon that was told to end says that it failed", told)
            for printed in lives.tracebacks:
                self.findings.add("a daemon ended with a traceback", printed)
            if lives.never_ended:
                self.findings.add("SIGTERM did not end a daemon", (supervisor.name, lives.never_ended))

    def _account_for_disks(self, installation: Installation) -> None:
        for name, disk in installation.disks.items():
            used = self.figures[f"MiB used of the {name}"] = disk.used_mib
            if used >= disk.mib - 1:
                self.findings.add("a disk of the run is too small for it", name)

    def _count(self, journal: Journal) -> None:
        for message in journal.stored.values():
            self.figures[f"stored: {message.sort}"] += 1
        for why, times in journal.failures.items():
            self.figures[f"unacknowledged: {why}"] += times

    def _report(self) -> None:
        for name, value in sorted(self.figures.items()):
            self._print(f"    {name:<60} {value:>8}")
        for line in self.findings.lines():
            self._print(f"  WRONG: {line}")
        self._say(f"seed {self.seed}, {self.variant}: {'FAILED' if self.findings else 'nothing lost, nothing twice'}")

    def _say(self, text: str) -> None:
        self._print(f"{time.monotonic() - self._started:7.1f} s  {text}")

    def _print(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


async def _all_ready(installation: Installation) -> None:
    while not all(supervisor.is_ready for supervisor in installation.daemons):  # noqa: ASYNC110 - other processes
        await asyncio.sleep(0.05)


async def _metrics(installation: Installation) -> Sequence[Metrics]:
    return [await read_metrics(supervisor.daemon.http_url) for supervisor in installation.daemons]
