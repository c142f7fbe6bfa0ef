"""What every command shares: its options, its settings, the way it answers and the way it fails."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from daemon.errors import StartError
from daemon.terminal import escaped

if TYPE_CHECKING:
    from daemon.cli.link.link import Locate
    from daemon.process.runtime_file import Runtime
    from daemon.settings.model import Settings

FAILED: Final = 1
"""Refused, or degraded."""
UNHEALTHY: Final = 2
NO_DAEMON: Final = 3
"""No daemon, or no connection to it."""
USAGE: Final = 4

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file; without it config.toml in the current folder."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
NatsUrl = Annotated[
    str | None,
    typer.Option("--nats-url", metavar="URL", help="Speak to this NATS server, not to that of the local daemon."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="HEADGATE_TOKEN", metavar="JWT", help="Bearer token, where the daemon asks for one."
    ),
]
Timeout = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long an answer may take.")]


def fail(*lines: str, as_json: bool = False, code: int = FAILED) -> NoReturn:
    """End the command: each line on standard error, and as JSON on standard output where that was asked for."""
    if as_json:
        print_json({"errors": list(lines)})
    for line in lines:
        print(escaped(line), file=sys.stderr)
    raise typer.Exit(code)


def print_json(answer: object) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def settings_or_fail(config: Path | None, *, as_json: bool = False) -> "Settings":
    """The settings; each fault is a line, and the command ends with exit code 1."""
    from daemon.settings.loading import load_settings

    try:
        return load_settings(config)
    except StartError as error:
        fail(*error.lines, as_json=as_json)


def daemon_or_fail(settings: "Settings", *, as_json: bool = False) -> "Runtime":
    """The local daemon to speak to; without one the command ends with one line and exit code 3."""
    from daemon.process.runtime_file import NoDaemonError, find_daemon

    try:
        return find_daemon(settings.daemon.state_dir)
    except NoDaemonError as error:
        fail(str(error), as_json=as_json, code=NO_DAEMON)


def locate_or_fail(settings: "Settings", nats_url: str | None, *, as_json: bool = False) -> "Locate":
    """What finds NATS, now and whenever it is asked again; without a daemon now the command ends with exit code 3."""
    from daemon.process.runtime_file import find_daemon

    if nats_url is not None:
        return lambda: nats_url
    daemon_or_fail(settings, as_json=as_json)
    return lambda: find_daemon(settings.daemon.state_dir).nats_url
