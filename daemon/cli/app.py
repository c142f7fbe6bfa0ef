"""All commands of the command line in one place."""

import os
import sys
from typing import Annotated

import typer

from daemon.cli.ask import ask
from daemon.cli.bridge import bridge
from daemon.cli.check_config import check_config
from daemon.cli.conformance import conformance
from daemon.cli.console import console
from daemon.cli.contracts import contracts
from daemon.cli.dead_letters import dead_letters
from daemon.cli.migrate import migrate
from daemon.cli.ops import ops
from daemon.cli.publish.publish import publish
from daemon.cli.shared import Config, Json
from daemon.cli.watch.watch import watch

app = typer.Typer(
    name="headgate",
    help="The gate at the head of a content pipeline.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback that shows local variables would show secrets.
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"headgate {version('headgate')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """The gate at the head of a content pipeline."""


@app.command()
def serve(config: Config = None, as_json: Json = False) -> None:
    """Run the daemon until a signal; --json asks for JSON logs whatever the settings say."""
    from daemon.cli.serve import run_daemon

    raise typer.Exit(run_daemon(config, as_json=as_json))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def bench(context: typer.Context) -> None:
    """Measure what headgate must reach, every contender in the same run (headgate bench --help)."""
    # A process of its own: what is measured must not share this one's memory, nor the daemon import its benchmarks.
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "bench", *context.args])  # noqa: S606 - our own module


app.command("check-config")(check_config)
app.command()(console)
app.command(context_settings={"ignore_unknown_options": True})(migrate)  # so that -1 is a revision, not an option
app.command()(publish)
app.command()(ops)
app.command()(ask)
app.command()(watch)
app.add_typer(bridge, name="bridge")
app.add_typer(contracts, name="contracts")
app.add_typer(conformance, name="conformance")
app.add_typer(dead_letters, name="dead-letters")
