"""`python -m bench`: measure what headgate must reach, every contender in the same run.

Exit status: 0 done; 1 a contender was wrong or did not finish, so that there is nothing to compare; 2 with `--strict`
where something that must be reached was missed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
import uvloop
from rich.console import Console

from adapters.errors import AdapterError
from bench.measurements.commands import measure_commands
from bench.measurements.console import measure_console
from bench.measurements.console_moving import LISTED_JOBS
from bench.measurements.dashboard import measure_dashboard
from bench.measurements.dead_letters import LETTERS, measure_dead_letters
from bench.measurements.documents import measure_documents
from bench.measurements.intake import CONTENDERS, measure
from bench.measurements.latency import measure_latency, measure_start
from bench.measurements.memory import measure_memory
from bench.measurements.peers import measure_peers
from bench.measurements.scale import MESSAGES as SCALE_MESSAGES
from bench.measurements.scale import add_scale, measure_scale
from bench.measurements.stored import measure_stored
from bench.report import Report
from bench.setting.messages import Form
from bench.setting.streams import BATCH, BenchError

app = typer.Typer(add_completion=False, help="Measure what headgate must reach.", no_args_is_help=False)
progress: Final = Console(stderr=True)

Messages = Annotated[int, typer.Option(help="Messages in the stream; a multiple of 1,000.", min=BATCH)]
Rounds = Annotated[int, typer.Option(help="Rounds; the contenders take turns.", min=1)]
Samples = Annotated[int, typer.Option(help="Messages sent one at a time.", min=100)]
Only = Annotated[list[str] | None, typer.Option("--contender", help="Only these; may be given several times.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON rather than as a table.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 2 where a target was missed.")]
WorkDir = Annotated[
    Path,
    typer.Option(help="Stores and databases go below this folder: it must lie on a disk, not in memory."),
]
WORK_DIR: Final = Path("var/bench")
MESSAGES: Final = 40_000
ROUNDS: Final = 3
SAMPLES: Final = 2_000
JOBS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Run:
    """How a run is carried out and shown."""

    work_dir: Path
    as_json: bool
    strict: bool

    def carry_out(self, *steps: Callable[[Report], Awaitable[None]]) -> None:
        """Take the measurements in turn, keep the report, show it, and exit; a void one leaves the others standing."""
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
        self.work_dir.mkdir(parents=True, exist_ok=True)
        report = Report()
        void = False
        for step in steps:
            try:
                uvloop.run(_awaited(step, report))
            except (BenchError, AdapterError) as error:
                void = True
                report.notes.append(f"void: {error}")
        path = report.write()
        if self.as_json:
            print(report.to_json().decode())
        else:
            report.show(Console())
        progress.print(f"kept as {path}", style="dim")
        if void:
            raise typer.Exit(1)
        if self.strict and report.missed:
            raise typer.Exit(2)


async def _awaited(step: Callable[[Report], Awaitable[None]], report: Report) -> None:
    await step(report)


def _say(line: str) -> None:
    progress.print(line, style="dim", highlight=False)


def _intake(messages: int, rounds: int, only: list[str] | None, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    known = [contender.name for contender in CONTENDERS]
    if unknown := set(only or ()) - set(known):
        raise typer.BadParameter(f"no contender {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if messages % BATCH:
        raise typer.BadParameter("--messages must be a multiple of 1,000: the batch subscriber waits for full batches")
    chosen = [contender for contender in CONTENDERS if not only or contender.name in only]

    async def step(report: Report) -> None:
        for form in Form:
            report.add_intake(await measure(chosen, messages, rounds, work_dir, _say, form), form)

    return step


def _latency(samples: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        _say(f"publish to receipt, {samples:,} times")
        report.add_latency(await measure_latency(samples, work_dir))

    return step


def _commands(commands: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        _say(f"commands, {commands:,} reads and as many writes, as many callbacks")
        report.add_commands(await measure_commands(commands, work_dir))

    return step


def _dead_letters(work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        _say(f"groups and pages of {LETTERS:,} dead letters")
        report.add_dead_letters(await measure_dead_letters(work_dir))

    return step


def _console(work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        _say(f"the console in a browser, in front of {LETTERS:,} dead letters and {LISTED_JOBS:,} jobs")
        report.add_console(await measure_console(work_dir))

    return step


def _jobs(jobs: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        _say(f"{jobs:,} jobs from being asked for to done, beside DBOS and procrastinate")
        report.add_peers(await measure_peers(jobs, work_dir))

    return step


def _start(rounds: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        _say(f"start to ready, {rounds} times")
        report.add_start(await measure_start(rounds, work_dir))

    return step


def _stored(messages: int, rows: int, rounds: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        report.add_stored(await measure_stored(messages, rows, rounds, work_dir, _say), rows)

    return step


def _documents(rounds: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        report.add_documents(await measure_documents(rounds, work_dir, _say))

    return step


def _dashboard(rows: int, samples: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        _say(f"dashboard queries over {rows:,} usage rows")
        report.add_dashboard(await measure_dashboard(rows, samples, work_dir))

    return step


def _memory(messages: int, work_dir: Path) -> Callable[[Report], Awaitable[None]]:
    async def step(report: Report) -> None:
        report.add_memory(await measure_memory(messages, work_dir, _say))

    return step


@app.command()
def intake(
    messages: Messages = MESSAGES,
    rounds: Rounds = ROUNDS,
    only: Only = None,
    as_json: Json = False,
    strict: Strict = False,
    work_dir: WorkDir = WORK_DIR,
) -> None:
    """Durable intake of session.usage: the daemon, a FastStream handler, FastStream's batches, a bare pull."""
    Run(work_dir, as_json, strict).carry_out(_intake(messages, rounds, only, work_dir))


@app.command()
def latency(
    samples: Samples = SAMPLES, as_json: Json = False, strict: Strict = False, work_dir: WorkDir = WORK_DIR
) -> None:
    """Publish to receipt, one message at a time."""
    Run(work_dir, as_json, strict).carry_out(_latency(samples, work_dir))


@app.command()
def commands(
    count: Annotated[int, typer.Option("--commands", min=100)] = 5_000,
    as_json: Json = False,
    strict: Strict = False,
    work_dir: WorkDir = WORK_DIR,
) -> None:
    """Commands by request/reply, 64 in flight, and callbacks of jobs."""
    Run(work_dir, as_json, strict).carry_out(_commands(count, work_dir))


@app.command()
def jobs(
    count: Annotated[int, typer.Option("--jobs", min=100)] = JOBS,
    as_json: Json = False,
    strict: Strict = False,
    work_dir: WorkDir = WORK_DIR,
) -> None:
    """Jobs from being asked for to done, beside DBOS on SQLite and procrastinate on PostgreSQL."""
    Run(work_dir, as_json, strict).carry_out(_jobs(count, work_dir))


@app.command("dead-letters")
def dead_letters(as_json: Json = False, strict: Strict = False, work_dir: WorkDir = WORK_DIR) -> None:
    """Groups and pages of a hundred thousand dead letters."""
    Run(work_dir, as_json, strict).carry_out(_dead_letters(work_dir))


@app.command()
def console(as_json: Json = False, strict: Strict = False, work_dir: WorkDir = WORK_DIR) -> None:
    """What a person waits for in the console, in a real browser."""
    Run(work_dir, as_json, strict).carry_out(_console(work_dir))


@app.command()
def documents(rounds: Rounds = 5, as_json: Json = False, strict: Strict = False, work_dir: WorkDir = WORK_DIR) -> None:
    """Files in and out beside a static server, memory while twenty come at once, anchors, an export."""
    Run(work_dir, as_json, strict).carry_out(_documents(rounds, work_dir))


@app.command()
def start(rounds: Rounds = ROUNDS, as_json: Json = False, strict: Strict = False, work_dir: WorkDir = WORK_DIR) -> None:
    """Start to ready: empty database, embedded server."""
    Run(work_dir, as_json, strict).carry_out(_start(rounds, work_dir))


@app.command()
def stored(
    messages: Messages = MESSAGES,
    rows: Annotated[int, typer.Option(help="Messages already stored.", min=1_000)] = 5_000_000,
    rounds: Rounds = ROUNDS,
    as_json: Json = False,
    strict: Strict = False,
    work_dir: WorkDir = WORK_DIR,
) -> None:
    """Intake with millions of rows already stored (minutes, and some gigabytes of disk)."""
    Run(work_dir, as_json, strict).carry_out(_stored(messages, rows, rounds, work_dir))


@app.command()
def memory(
    messages: Messages = 1_000_000, as_json: Json = False, strict: Strict = False, work_dir: WorkDir = WORK_DIR
) -> None:
    """The daemon's memory after a million messages (minutes)."""
    Run(work_dir, as_json, strict).carry_out(_memory(messages, work_dir))


@app.command()
def scale(
    messages: Messages = SCALE_MESSAGES,
    rounds: Rounds = ROUNDS,
    as_json: Json = False,
    strict: Strict = False,
    work_dir: WorkDir = WORK_DIR,
) -> None:
    """One, two and three daemons on PostgreSQL: rate, and processor time a message."""

    async def step(report: Report) -> None:
        add_scale(report, await measure_scale(messages, rounds, work_dir, _say))

    Run(work_dir, as_json, strict).carry_out(step)


@app.command()
def dashboard(
    rows: Annotated[int, typer.Option(help="Usage records of four weeks.", min=1_000)] = 1_000_000,
    samples: Annotated[int, typer.Option(help="Times that each question is asked.", min=1)] = 40,
    as_json: Json = False,
    strict: Strict = False,
    work_dir: WorkDir = WORK_DIR,
) -> None:
    """What a dashboard asks of ledger, analytics, KPIs and alerts, over a million usage records."""
    Run(work_dir, as_json, strict).carry_out(_dashboard(rows, samples, work_dir))


@app.command("all")
def everything(
    messages: Messages = MESSAGES,
    rounds: Rounds = ROUNDS,
    long: Annotated[bool, typer.Option("--long", help="Also `stored` and `memory`.")] = False,
    as_json: Json = False,
    strict: Strict = False,
    work_dir: WorkDir = WORK_DIR,
) -> None:
    """Intake, latency, commands, jobs, start and dashboard queries."""
    steps = [
        _intake(messages, rounds, None, work_dir),
        _latency(SAMPLES, work_dir),
        _commands(5_000, work_dir),
        _dead_letters(work_dir),
        _jobs(JOBS, work_dir),
        _start(rounds, work_dir),
        _dashboard(1_000_000, 20, work_dir),
    ]
    if long:
        steps += [_stored(messages, 5_000_000, rounds, work_dir), _memory(1_000_000, work_dir)]
    Run(work_dir, as_json, strict).carry_out(*steps)


@app.callback(invoke_without_command=True)
def by_default(context: typer.Context) -> None:
    """Without a command: `all`."""
    if context.invoked_subcommand is None:
        everything()


if __name__ == "__main__":
    app(prog_name="python -m bench")
