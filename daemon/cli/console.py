"""``headgate console``: a link that opens the console, signed in; it works once, for a minute."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.link.asking import Asker
from daemon.cli.shared import FAILED, Config, Json, NatsUrl, Token, locate_or_fail, print_json, settings_or_fail
from daemon.terminal import escaped

if TYPE_CHECKING:
    from contracts.errors import JsonObject


def console(
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    nats_url: NatsUrl = None,
    token: Token = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print a link to the console and open it. The link signs in once, within a minute."""
    settings = settings_or_fail(config, as_json=as_json)
    asker = Asker(settings, locate_or_fail(settings, nats_url, as_json=as_json), token, _TIMEOUT_S, as_json)
    answer = asker.ask("console-link", {})
    if not answer.is_good or not isinstance(answer.result, dict):
        asker.show("console-link", answer)
        raise typer.Exit(FAILED)
    url = str(answer.result["url"])
    _show(answer.result, as_json=as_json)
    if open_browser and sys.stdout.isatty() and not as_json:
        # The library's look for a browser is only needed here.
        import webbrowser

        webbrowser.open(url)


_TIMEOUT_S = 10.0


def _show(result: "JsonObject", *, as_json: bool) -> None:
    if as_json:
        print_json({"url": result["url"], "expires_at": result["expires_at"]})
        return
    print(escaped(str(result["url"])))
    print("it works once, for a minute", file=sys.stderr)
