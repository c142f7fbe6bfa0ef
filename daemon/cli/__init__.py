"""The command line: ``headgate <command>``.

Nothing is imported before it is known which command is wanted: ``headgate --help`` answers at once, and the daemon does
not carry the libraries that draw tables for its whole life.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code: 0 done, 1 failed, 2 wrongly asked; some have codes of their own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"] and "--help" not in given:
        from daemon.cli.serve import serve

        sys.exit(serve(given[1:]))
    from daemon.cli.app import app

    app(given, prog_name="headgate")
