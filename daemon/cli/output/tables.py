"""Tables and lines for terminals: what comes from data is escaped, nothing in it is taken for markup."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from contracts.errors import JsonValue
from daemon.terminal import escaped

_WIDTH_OF_FILES: Final = 160
_FOLDS_FROM: Final = 24
"""A column is not folded narrower than this: slivers of a word cannot be read."""
_GAP: Final = 2
_INDENT: Final = 4


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup, no emoji codes, no colours guessed from what it says."""
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not made.is_terminal and "COLUMNS" not in made._environ:  # noqa: SLF001
        made.width = _WIDTH_OF_FILES
    return made


def cell(value: object, style: str = "") -> Text:
    """One value, escaped."""
    return Text(escaped(value if isinstance(value, str) else str(value)), style=style)


def whole_line(value: str) -> Group:
    """A line that is left to the terminal to fold, so that what stands in it can be copied.

    In a group, for a console joins texts that it prints and forgets how each of them is to be folded.
    """
    line = cell(value, "dim")
    line.no_wrap, line.overflow = True, "ignore"
    return Group(line)


STATUS_STYLES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("healthy", "ready", "succeeded", "ok", "resolved"), "green"),
    **dict.fromkeys(("degraded", "warning", "running", "replaying", "open", "stale"), "yellow"),
    **dict.fromkeys(("unhealthy", "critical", "failed", "aborted", "not_ready", "still_failed"), "red"),
}


def status_cell(value: JsonValue) -> Text:
    """A status in its colour."""
    word = str(value)
    return cell(word, STATUS_STYLES.get(word, ""))


def grid(
    columns: Sequence[str | tuple[str, str]],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    headings: bool = True,
) -> "FittingTable":
    """A table; a column is its heading, or heading and alignment. Cells that are :class:`Text` keep their style."""
    return FittingTable(list(columns), [list(row) for row in rows], title, headings=headings)


class FittingTable:
    """A table where it fits; on a narrower terminal each row flows over as many lines as it needs, one under the other,
    every value whole."""

    def __init__(
        self, columns: list[str | tuple[str, str]], rows: list[list[object]], title: str, *, headings: bool
    ) -> None:
        self._columns = columns
        self._rows = [[value if isinstance(value, Text) else cell(value) for value in row] for row in rows]
        self._title = title
        self._headings = headings

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._table())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._headings or self._least_width() <= options.max_width:
            yield self._table()
            return
        if self._title:
            yield cell(self._title, "bold")
        yield from _flow([cell(_heading(column), "bold") for column in self._columns], options.max_width)
        for row in self._rows:
            yield from _flow(row, options.max_width)

    def _least_width(self) -> int:
        """What it takes to fold no column into slivers."""
        width = 0
        for index, column in enumerate(self._columns):
            cells = [row[index].cell_len for row in self._rows if index < len(row)]
            widest = max(cells, default=0)
            whole = _heading(column).endswith("_id")
            width += max(cell_len(_heading(column)), widest if whole else min(widest, _FOLDS_FROM)) + _GAP
        return width - _GAP

    def _table(self) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD if self._headings else None,
            show_header=self._headings,
            show_edge=False,
            title=cell(self._title, "bold") if self._title else None,
            title_justify="left",
            pad_edge=False,
        )
        for column in self._columns:
            heading = _heading(column)
            justify = "left" if isinstance(column, str) else column[1]
            # An id that is cut in two cannot be copied.
            whole = heading.endswith("_id")
            table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold", no_wrap=whole)
        for row in self._rows:
            table.add_row(*row)
        return table


def _heading(column: str | tuple[str, str]) -> str:
    return column if isinstance(column, str) else column[0]


def _flow(values: Sequence[Text], width: int) -> RenderResult:
    """The values side by side, on further lines set in where they do not fit."""
    line = Text()
    for value in values:
        if line.cell_len and line.cell_len + _GAP + value.cell_len > width:
            yield line
            line = Text(" " * (_INDENT - _GAP))
        if line.cell_len:
            line.append(" " * _GAP)
        line.append_text(value)
    yield line
