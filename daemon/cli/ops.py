"""``headgate ops``: what operators ask of a running daemon, by request and reply."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from daemon.cli.kpi.drawing import KPI_REPORT, as_asked_by_people, draw
from daemon.cli.link.asking import Asker
from daemon.cli.output.following import FOLLOWED, ended_well, follow
from daemon.cli.shared import (
    FAILED,
    UNHEALTHY,
    Config,
    Json,
    NatsUrl,
    Timeout,
    Token,
    locate_or_fail,
    settings_or_fail,
)

if TYPE_CHECKING:
    from contracts.errors import JsonObject, JsonValue
    from daemon.cli.link.requests import Answer

_HEALTH_CODES: Final = {"healthy": 0, "degraded": FAILED, "unhealthy": UNHEALTHY}


Command = Annotated[str, typer.Argument(metavar="COMMAND", help="health-check, replay-failed, explain, runs, ...")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A field of the payload; the value is JSON or text."),
]
Payload = Annotated[
    str | None, typer.Option("--json-payload", metavar="JSON", help="The payload; --param is laid over it.")
]
Test = Annotated[
    str | None, typer.Option("--test", metavar="NOTIFIER", help="alerts: send a test message to a notifier.")
]
Wait = Annotated[bool, typer.Option(help="Follow what goes on in the daemon (replay, import) to its end.")]
Deep = Annotated[bool, typer.Option("--deep", help="health-check: also compare totals with the records they sum up.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="kpi-report: write it as one page of HTML.")]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.png", help="kpi-report: draw it (needs the extra plot).")
]


def ops(
    command: Command,
    parameters: Parameters = None,
    payload: Payload = None,
    test: Test = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    deep: Deep = False,
    html: Html = None,
    plot: Plot = None,
    nats_url: NatsUrl = None,
    token: Token = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send one ops command to the daemon and show its answer.

    Exit code 0 for a success, 1 for a refusal, 3 without a daemon; health-check: 0 healthy, 1 degraded, 2 unhealthy.
    """
    asked = payload_of(payload, parameters)
    if test is not None:
        if command != "alerts":
            raise typer.BadParameter("is for alerts", param_hint="--test")
        asked |= {"action": "test", "notifier": test}
    if deep:
        if command != "health-check":
            raise typer.BadParameter("is for health-check", param_hint="--deep")
        asked["deep"] = True
    if command == KPI_REPORT:
        as_asked_by_people(asked, as_json=as_json, drawn=html is not None or plot is not None)
    elif html is not None or plot is not None:
        raise typer.BadParameter(f"only {KPI_REPORT} is drawn", param_hint="--html" if html else "--plot")
    settings = settings_or_fail(config, as_json=as_json)
    locate = locate_or_fail(settings, nats_url, as_json=as_json)
    asker = Asker(settings, locate, token, timeout, as_json)
    answer = asker.ask(command, asked)
    if wait and answer.is_good and command in FOLLOWED and not asked.get("dry_run"):
        answer = follow(asker, command, answer)
        asker.show(FOLLOWED[command], answer)
        raise typer.Exit(0 if ended_well(answer) else FAILED)
    if answer.is_good and (html is not None or plot is not None):
        draw(answer, html=html, plot=plot, as_json=as_json)
        raise typer.Exit(0)
    asker.show(command, answer)
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


def _exit_code(command: str, answer: "Answer") -> int:
    if command == "health-check" and isinstance(answer.result, dict):
        return _HEALTH_CODES.get(str(answer.result.get("status")), FAILED)
    return 0 if answer.is_good else FAILED
