"""``headgate ops kpi-report``: what is asked for, and the files that are made of the answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from daemon.cli.shared import fail, print_json

if TYPE_CHECKING:
    from contracts.errors import JsonObject
    from daemon.cli.link.requests import Answer

KPI_REPORT: Final = "kpi-report"


def as_asked_by_people(asked: "JsonObject", *, as_json: bool, drawn: bool) -> None:
    """Fill in what was not said: the days, and the text that a terminal shows. What is drawn is drawn from JSON."""
    asked.setdefault("period", "daily")
    if drawn:
        asked["format"] = "json"
    elif not as_json:
        asked.setdefault("format", "text")


def draw(answer: "Answer", *, html: Path | None, plot: Path | None, as_json: bool) -> None:
    """Write the files and say so; what cannot be written ends the command with one line."""
    from daemon.cli.kpi.page import page
    from daemon.cli.kpi.plot import PlottingMissing
    from daemon.cli.kpi.plot import plot as draw_plot
    from daemon.cli.kpi.report import read_report

    report = read_report(answer.result if isinstance(answer.result, dict) else {})
    try:
        if html is not None:
            html.write_text(page(report), encoding="utf-8")
        if plot is not None:
            draw_plot(report, plot)
    except PlottingMissing as error:
        fail(str(error), as_json=as_json)
    except OSError as error:
        fail(f"{error.filename or html or plot}: {error.strerror or error}", as_json=as_json)
    files = [str(file) for file in (html, plot) if file is not None]
    if as_json:
        print_json({"files": files})
    else:
        print("\n".join(f"written: {file}" for file in files))
