"""``headgate contracts``: what other programs are written against."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.shared import FAILED, USAGE, Config, Json, fail, print_json, settings_or_fail
from daemon.terminal import escaped

contracts = typer.Typer(help="The contracts that other programs are written against.", no_args_is_help=True)


@contracts.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it is missing.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write a JSON Schema for every kind and version, and asyncapi.yaml, to DIR."""
    settings = settings_or_fail(config, as_json=as_json)
    from contracts.schemas.export import export as write_contracts
    from daemon.version import VERSION

    try:
        written = write_contracts(folder, prefix=settings.nats.prefix, version=VERSION)
    except OSError as error:
        fail(f"{folder}: cannot be written: {error.strerror}", as_json=as_json)
    if as_json:
        print_json({"written": [str(path) for path in written]})
    else:
        print(f"{len(written)} files written to {escaped(str(folder))}")


@contracts.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A folder of `contracts export`.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one, of a later version.")],
    as_json: Json = False,
) -> None:
    """Tell what changed from OLD to NEW and whom it breaks; exit code 1 where anything breaks, else 0."""
    from contracts.schemas.compatibility import compare
    from contracts.schemas.exported import NotAnExport, read_export

    try:
        changes = compare(read_export(old), read_export(new))
    except NotAnExport as error:
        fail(str(error), as_json=as_json, code=USAGE)
    except OSError as error:
        fail(f"{error.filename}: cannot be read: {error.strerror}", as_json=as_json, code=USAGE)
    broken = sum(change.breaking for change in changes)
    if as_json:
        print_json({"breaking": broken, "changes": [change.as_json() for change in changes]})
    else:
        for change in changes:
            kind = "breaking" if change.breaking else "compatible"
            place = f"{change.contract} {change.field}".strip()
            print(escaped(f"{kind:<10} {place}: {change.what} (for {change.audience})"))
        print(f"{len(changes)} changes, {broken} of them breaking")
    if broken:
        raise typer.Exit(FAILED)
