"""``headgate ask``: any command, by request and reply."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.link.asking import Asker
from daemon.cli.shared import FAILED, Config, Json, NatsUrl, Timeout, Token, locate_or_fail, settings_or_fail

if TYPE_CHECKING:
    from contracts.errors import JsonObject


def ask(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="hg.cmd.job.get, cmd.job.get, hg.ops.runs, ...")],
    payload: Annotated[str | None, typer.Argument(metavar="[JSON]", help="The payload; without it {}.")] = None,
    timeout: Timeout = 30.0,
    nats_url: NatsUrl = None,
    token: Token = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send one command to the daemon and show its answer.

    Exit code 0 for a success, 1 for a refusal, 3 without a daemon.
    """
    asked = _object(payload)
    settings = settings_or_fail(config, as_json=as_json)
    bare = subject.removeprefix(f"{settings.nats.prefix}.")
    family, _, kind = bare.partition(".")
    if family not in ("cmd", "ops") or not kind:
        raise typer.BadParameter(
            f"should be {settings.nats.prefix}.cmd.<noun>.<verb> or {settings.nats.prefix}.ops.<command>",
            param_hint="SUBJECT",
        )
    asker = Asker(settings, locate_or_fail(settings, nats_url, as_json=as_json), token, timeout, as_json)
    answer = asker.request(bare, kind, asked)
    asker.show(kind, answer)
    raise typer.Exit(0 if answer.is_good else FAILED)


def _object(payload: str | None) -> "JsonObject":
    try:
        given = json.loads(payload or "{}")
    except ValueError as error:
        raise typer.BadParameter(f"should be JSON: {error}", param_hint="JSON") from None
    if not isinstance(given, dict):
        raise typer.BadParameter("should be a JSON object", param_hint="JSON")
    return given
