"""``headgate ops``: what operators ask of a running daemon, by request and reply."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from daemon.cli.shared import FAILED, Config, Json, NatsUrl, Token, fail, locate_or_fail, print_json, settings_or_fail

if TYPE_CHECKING:
    from contracts.errors import JsonObject, JsonValue
    from daemon.cli.link import Locate
    from daemon.cli.requests import Answer
    from daemon.settings import Settings

_HEALTH_CODES: Final = {"healthy": 0, "degraded": 1, "unhealthy": 2}


def ops(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="health-check, replay-failed, explain, runs, ...")],
    parameters: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A field of the payload; the value is JSON or text."),
    ] = None,
    payload: Annotated[
        str | None, typer.Option("--json-payload", metavar="JSON", help="The payload; --param is laid over it.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long an answer may take.")] = 30.0,
    nats_url: NatsUrl = None,
    token: Token = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send one ops command to the daemon and show its answer.

    Exit code 0 for a success, else 1; health-check: 0 healthy, 1 degraded, 2 unhealthy.
    """
    asked = payload_of(payload, parameters)
    settings = settings_or_fail(config, as_json=as_json)
    locate = locate_or_fail(settings, nats_url, as_json=as_json)
    answer = _ask(command, asked, settings, locate, token=token, timeout_s=timeout, as_json=as_json)
    _show(command, answer, as_json=as_json)
    raise typer.Exit(_exit_code(command, answer))


def payload_of(payload: str | None, parameters: list[str] | None) -> "JsonObject":
    """The payload that the options describe."""
    asked: JsonObject = {}
    if payload is not None:
        given = _json_or_text(payload)
        if not isinstance(given, dict):
            raise typer.BadParameter("should be a JSON object", param_hint="--json-payload")
        asked |= given
    for parameter in parameters or []:
        name, equals, text = parameter.partition("=")
        if not equals or not name:
            raise typer.BadParameter("should be NAME=VALUE", param_hint="--param")
        asked[name] = _json_or_text(text)
    return asked


def _json_or_text(text: str) -> "JsonValue":
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def _ask(
    command: str,
    payload: "JsonObject",
    settings: "Settings",
    locate: "Locate",
    *,
    token: str | None,
    timeout_s: float,
    as_json: bool,
) -> "Answer":
    from contracts.subjects import Subjects
    from contracts.subjects import ops as ops_subject
    from daemon.cli.link import Link
    from daemon.cli.requests import NobodyListens, Unanswered, ask

    subject = Subjects(settings.nats.prefix).full(ops_subject(command))

    async def asking() -> "Answer":
        link = Link(locate, inbox_prefix=settings.limits.reply_prefixes[0], credentials=settings.nats.credentials)
        try:
            return await ask(link, subject, command, payload, token=token, timeout_s=timeout_s)
        finally:
            await link.close()

    try:
        return asyncio.run(asking())
    except NobodyListens as error:
        fail(f"{error}; commands of this version: {', '.join(_known())}", as_json=as_json)
    except Unanswered as error:
        fail(str(error), as_json=as_json)


def _known() -> list[str]:
    from contracts.registry import REGISTRY
    from contracts.subjects import Family

    return sorted(contract.kind for contract in REGISTRY.contracts(Family.OPS))


def _show(command: str, answer: "Answer", *, as_json: bool) -> None:
    if as_json:
        print_json(answer.result if answer.error is None else {"error": answer.error})
        return
    from daemon.cli.answers import render, render_error
    from daemon.cli.tables import console

    if answer.error is not None:
        out = console(stderr=True)
        for piece in render_error(answer.error):
            out.print(piece)
        return
    out = console()
    for piece in render(command, answer.result):
        out.print(piece)


def _exit_code(command: str, answer: "Answer") -> int:
    if command == "health-check" and isinstance(answer.result, dict):
        return _HEALTH_CODES.get(str(answer.result.get("status")), FAILED)
    return 0 if answer.is_good else FAILED
