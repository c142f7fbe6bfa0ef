"""``headgate contracts``: what other programs are written against."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.shared import Config, Json, fail, print_json, settings_or_fail
from daemon.terminal import escaped
from daemon.version import VERSION

contracts = typer.Typer(help="The contracts that other programs are written against.", no_args_is_help=True)


@contracts.callback()
def _group() -> None:
    """Keeps ``export`` a command of its own: a group with one command would become that command."""


@contracts.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it is missing.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write a JSON Schema for every kind and version, and asyncapi.yaml, to DIR."""
    settings = settings_or_fail(config, as_json=as_json)
    from contracts.schemas.export import export as write_contracts

    try:
        written = write_contracts(folder, prefix=settings.nats.prefix, version=VERSION)
    except OSError as error:
        fail(f"{folder}: cannot be written: {error.strerror}", as_json=as_json)
    if as_json:
        print_json({"written": [str(path) for path in written]})
    else:
        print(f"{len(written)} files written to {escaped(str(folder))}")
