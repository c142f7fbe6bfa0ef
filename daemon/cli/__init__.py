"""The command line: ``headgate <command>``.

Nothing is imported before it is known which command is wanted: ``headgate --help`` answers at once, and the daemon does
not carry the libraries that draw tables for its whole life.
"""

import gc
import sys
from collections.abc import Sequence
from typing import Final

_OBJECTS_BETWEEN_SEARCHES: Final = 50_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code: 0 success, 1 refused or degraded, 2 unhealthy,
    3 no daemon or no connection, 4 wrongly asked."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"] and not {"-h", "--help"} & set(given):
        from daemon.cli.serve import serve

        sys.exit(serve(given[1:]))
    # What a command loads is in use to its end: to look for garbage in it, now and when the process ends, is in vain.
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES)
    import typer

    from daemon.cli.app import app
    from daemon.cli.shared import USAGE

    # The library's code for wrong usage, 2, means "unhealthy" here. The base of BadParameter is every wrong usage.
    usage_error = typer.BadParameter.__bases__[0]
    usage_error.exit_code = USAGE  # type: ignore[attr-defined]  # the base is typed as a plain class
    try:
        app(given, prog_name="headgate")
    finally:
        gc.freeze()
