"""Tables and lines for terminals: what comes from data is escaped, nothing in it is taken for markup."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.terminal import escaped

_WIDTH_OF_FILES: Final = 160


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup, no emoji codes, no colours guessed from what it says."""
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not made.is_terminal and "COLUMNS" not in made._environ:  # noqa: SLF001
        made.width = _WIDTH_OF_FILES
    return made


def cell(value: object, style: str = "") -> Text:
    """One value, escaped."""
    return Text(escaped(value if isinstance(value, str) else str(value)), style=style)


def grid(
    columns: Sequence[str | tuple[str, str]],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    headings: bool = True,
) -> Table:
    """A table; a column is its heading, or heading and alignment. Cells that are :class:`Text` keep their style."""
    table = Table(
        box=box.SIMPLE_HEAD if headings else None,
        show_header=headings,
        show_edge=False,
        title=cell(title, "bold") if title else None,
        title_justify="left",
        pad_edge=False,
    )
    for column in columns:
        heading, justify = (column, "left") if isinstance(column, str) else column
        # An id that is cut in two cannot be copied.
        whole = heading.endswith("_id")
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    return table
