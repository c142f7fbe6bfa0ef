"""``headgate migrate``: the database's schema, without a daemon."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.shared import Config, Json, fail, print_json, settings_or_fail
from daemon.terminal import escaped

if TYPE_CHECKING:
    from storage.migrations import SchemaStatus


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    STATUS = "status"


def migrate(
    direction: Annotated[Direction, typer.Argument(help="up: to the newest revision.")] = Direction.UP,
    revision: Annotated[
        str | None, typer.Argument(help="down: the revision to go back to, or -1 for one step.", metavar="REVISION")
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="up: make the database file where there is none.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring the database's schema up or down, or say where it stands."""
    if (direction is Direction.DOWN) != (revision is not None):
        wanted = "needs a revision, or -1 for one step" if direction is Direction.DOWN else "takes no revision"
        raise typer.BadParameter(f"{direction} {wanted}", param_hint="REVISION")
    if create and direction is not Direction.UP:
        raise typer.BadParameter(f"{direction} makes nothing", param_hint="--create")
    settings = settings_or_fail(config, as_json=as_json)
    import asyncio

    from daemon.settings.values import without_credentials
    from storage.engine.failures import StorageError

    try:
        status = asyncio.run(_move(settings.storage.url, direction, revision, create=create))
    except StorageError as error:
        reason = " ".join(str(error).split())
        fail(f"{without_credentials(settings.storage.url)}: {reason}", as_json=as_json)
    _answer(status, as_json=as_json)


async def _move(url: str, direction: Direction, revision: str | None, *, create: bool) -> "SchemaStatus":
    from storage.engine import migration

    if direction is Direction.DOWN and revision is not None:
        return await migration.downgrade(url, revision)
    return await (migration.upgrade(url, make=create) if direction is Direction.UP else migration.status(url))


def _answer(status: "SchemaStatus", *, as_json: bool) -> None:
    if as_json:
        print_json({"current": status.current, "head": status.head, "up_to_date": status.up_to_date})
        return
    place = "up to date" if status.up_to_date else f"the newest is {status.head}"
    print(f"revision {escaped(status.current or 'none')}, {place}")
