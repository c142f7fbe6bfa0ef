"""``headgate bridge``: workers that hand work on to providers which must be polled."""

from typing import Annotated

import typer

from daemon.cli.shared import Config, Json, fail, settings_or_fail
from daemon.errors import StartError
from daemon.process.optional_libraries import as_if_not_installed

bridge = typer.Typer(help="Workers that hand work on to providers which must be polled.", no_args_is_help=True)


@bridge.callback()
def choose() -> None:
    """A command of its own for each provider."""


@bridge.command()
def replicate(
    config: Config = None,
    as_json: Json = False,
    token: Annotated[
        str,
        typer.Option(
            metavar="JWT",
            envvar="HEADGATE_TOKEN",
            help="Bearer token for reading assets anew, where the daemon asks for one.",
        ),
    ] = "",
) -> None:
    """Take work, create predictions, poll them, report by signed callbacks; until a signal."""
    # Structlog and httpx would take rich where it is installed.
    with as_if_not_installed("rich"):
        from daemon.bridge import run
    settings = settings_or_fail(config, as_json=as_json)
    if as_json:
        settings = settings.model_copy(update={"log": settings.log.model_copy(update={"format": "json"})})
    try:
        raise typer.Exit(run(settings, authorization=token))
    except StartError as error:
        fail(*error.lines, as_json=as_json)
