"""Following a long run to its end: a progress bar on a terminal, silence in a pipe."""

import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from contracts.errors import JsonObject
    from daemon.cli.link.asking import Asker
    from daemon.cli.link.requests import Answer

_LOOK_S: Final = 0.3
FOLLOWED: Final = {
    "replay-failed": "replay-status",
    "import-legacy": "runs",
    "control": "runs",
    "prune": "runs",
    "rebuild-aggregates": "runs",
    "backup": "runs",
}
"""Ops commands that go on in the daemon, and the one that tells how they stand."""


def follow(asker: "Asker", command: str, started: "Answer") -> "Answer":
    """The last answer about the run that *started* tells of."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from daemon.cli.output.tables import console

    result = started.result
    if not isinstance(result, dict) or not isinstance(result.get("run_id"), str):
        return started
    run_id = str(result["run_id"])
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), disable=not sys.stderr.isatty() or asker.as_json) as progress:
        bar = progress.add_task(command, total=_integer(result, "requested"))
        while True:
            answer = asker.ask(FOLLOWED[command], {"run_id": run_id})
            run = _run_of(answer)
            if run is None or run.get("status") != "running":
                return answer
            progress.update(bar, completed=_done(run), total=_integer(run, "requested"))
            time.sleep(_LOOK_S)


def ended_well(answer: "Answer") -> bool:
    """Whether the run that *answer* tells of succeeded."""
    run = _run_of(answer)
    return answer.is_good and run is not None and run.get("status") in ("succeeded", "running")


def _run_of(answer: "Answer") -> "JsonObject | None":
    result = answer.result
    if not isinstance(result, dict):
        return None
    items = result.get("items")
    if "status" not in result and isinstance(items, list):
        return items[0] if items and isinstance(items[0], dict) else None
    return result


def _done(run: "JsonObject") -> int:
    return sum(_integer(run, name) or 0 for name in ("replayed", "skipped", "still_failed"))


def _integer(values: "JsonObject", name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) else None
