"""How a publishing run looks: bars while it goes on, a summary when it has ended."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console, Group
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from adapters.record_files import Source
from daemon.cli.output.tables import cell, console, grid
from daemon.cli.publish.tally import Fate, Tally, Trouble
from daemon.terminal import escaped

_MOST_TROUBLES: Final = 30
_REFRESH_S: Final = 0.1

_FATES: Final = (
    (Fate.ACCEPTED, "accepted", "green", ""),
    (Fate.STORED, "published", "green", "no receipts were asked for"),
    (Fate.DUPLICATE, "duplicate", "cyan", "the daemon had them already"),
    (Fate.REFUSED, "refused", "red", "kept as dead letters; what is wrong stands below"),
    (Fate.UNREADABLE, "unreadable", "red", "not published"),
    (Fate.REJECTED, "rejected", "red", "not published: the server does not take them"),
    (Fate.NO_RECEIPT, "no receipt", "yellow", "published; publishing them again is safe"),
    (Fate.UNPUBLISHED, "unpublished", "yellow", "publish them again"),
)


class Say(Protocol):
    def __call__(self, line: str) -> None: ...


@contextmanager
def progress(sources: Sequence[Source], tally: Tally, *, receipts: bool, quiet: bool) -> Iterator[Say]:
    """Bars on a terminal, drawn from the tally while the block runs; yields what tells a line beside them."""
    out = console(stderr=True)
    if quiet or not out.is_terminal:
        yield lambda line: print(f"headgate: {escaped(line)}", file=sys.stderr, flush=True)
        return
    bars = _Bars(out, sources, tally, receipts=receipts)
    with bars.drawing():
        yield lambda line: out.print(cell(line, "yellow"))


class _Bars:
    """What was published, by bytes of the files where their size is known, and what was answered of it."""

    def __init__(self, out: Console, sources: Sequence[Source], tally: Tally, *, receipts: bool) -> None:
        sizes = [source.size for source in sources]
        self._tally = tally
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=40),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=out,
            transient=True,
            auto_refresh=False,
        )
        whole = None if None in sizes else float(sum(size or 0 for size in sizes))
        self._published = self._progress.add_task("published", total=whole, figures="")
        self._answered: TaskID | None = None
        if receipts:
            self._answered = self._progress.add_task("answered", total=None, figures="")

    @contextmanager
    def drawing(self) -> Iterator[None]:
        over = threading.Event()
        painter = threading.Thread(target=self._paint, args=(over,), name="progress", daemon=True)
        with self._progress:
            painter.start()
            try:
                yield
            finally:
                over.set()
                painter.join()

    def _paint(self, over: threading.Event) -> None:
        while not over.wait(_REFRESH_S):
            tally = self._tally
            figures = f"{tally.published:,} ({tally.published / max(tally.seconds, 1e-9):,.0f}/s)"
            self._progress.update(self._published, completed=tally.read_bytes, figures=figures)
            if self._answered is not None:
                refused = tally.fates[Fate.REFUSED]
                figures = f"{tally.answered:,} of {tally.published:,}" + (f", {refused:,} refused" if refused else "")
                self._progress.update(
                    self._answered, total=tally.published or None, completed=tally.answered, figures=figures
                )
            self._progress.refresh()


def print_summary(tally: Tally) -> None:
    """How the records ended, and what is wrong with those that were not taken."""
    out = console()
    seconds = max(tally.seconds, 1e-9)
    rate = f", {tally.records / seconds:,.0f}/s" if tally.records else ""
    out.print(Text(f"{tally.records:,} {_records(tally.records)} in {seconds:,.1f} s{rate}", style="bold"))
    rows = [
        (cell(f"{tally.fates[fate]:,}", style), cell(name, style), cell(hint, "dim"))
        for fate, name, style, hint in _FATES
        if tally.fates[fate]
    ]
    for count, name, hint in rows:
        out.print(Text("  ").append_text(_right(count, 9)).append("  ").append_text(_left(name, 12)).append_text(hint))
    if tally.asked_again:
        out.print(cell(f"{tally.asked_again:,} were published anew: their receipts went with a connection", "dim"))
    if tally.troubles:
        out.print(_troubles(tally))
    if tally.stopped:
        console(stderr=True).print(cell(f"stopped: {tally.stopped}", "bold red"))


def _right(text: Text, width: int) -> Text:
    return Text(" " * max(0, width - text.cell_len)).append_text(text)


def _left(text: Text, width: int) -> Text:
    return text + Text(" " * max(1, width - text.cell_len))


def _records(count: int) -> str:
    return "record" if count == 1 else "records"


def _troubles(tally: Tally) -> Group:
    shown = tally.troubles[:_MOST_TROUBLES]
    table = grid(
        [("records", "right"), "what", "where", "rule", "what it should be", "for example"],
        [_row(trouble) for trouble in shown],
    )
    left_out = len(tally.troubles) - len(shown)
    more = f"and {left_out:,} more ways to be wrong (--json lists them)" if left_out else ""
    return Group(Text(), table, cell(more, "dim")) if more else Group(Text(), table)


def _row(trouble: Trouble) -> tuple[object, ...]:
    more = trouble.count - len(trouble.places)
    places = ", ".join(trouble.places) + (f" and {more:,} more" if more else "")
    what = trouble.code or trouble.fate
    return (f"{trouble.count:,}", cell(what, "red"), cell(trouble.path, "bold"), trouble.rule, trouble.message, places)
