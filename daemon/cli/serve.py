"""``headgate serve``, without the libraries of the other commands: what it imports stays in memory."""

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from daemon.errors import StartError
from daemon.process.optional_libraries import as_if_not_installed
from daemon.terminal import escaped

_USAGE: Final = 4


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"headgate serve: {escaped(message)} (try: headgate serve --help)", file=sys.stderr)
        sys.exit(_USAGE)


def serve(arguments: Sequence[str]) -> int:
    """Run the daemon until a signal; its exit code. What stops the start is one line each on standard error."""
    parser = _Arguments(prog="headgate serve", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    return run_daemon(given.config, as_json=given.json)


def run_daemon(config: Path | None, *, as_json: bool) -> int:
    """Start with the settings of *config*; *as_json* asks for JSON logs whatever the file says."""
    # Nothing that is imported is garbage: looking for some takes a fifth of the time until the daemon is ready.
    gc.disable()
    # Structlog would take rich where it is installed.
    with as_if_not_installed("rich"):
        import structlog  # noqa: F401
    from daemon.settings.loading import load_settings

    try:
        settings = load_settings(config)
        if as_json:
            log = settings.log.model_copy(update={"format": "json"})
            settings = settings.model_copy(update={"log": log})
        from daemon.bootstrap import run

        return run(settings)
    except StartError as error:
        for line in error.lines:
            print(escaped(line), file=sys.stderr)
        return 1
