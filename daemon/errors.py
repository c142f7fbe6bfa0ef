"""What stops a start."""

from collections.abc import Sequence


class StartError(Exception):
    """The daemon cannot start, and why: one line for each reason, without any secret. The command line prints the
    lines on stderr and exits 1.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines: Sequence[str] = lines
