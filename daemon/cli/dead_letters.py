"""``headgate dead-letters``: what was refused, why, and what becomes of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from daemon.cli.link.asking import Asker
from daemon.cli.shared import FAILED, Config, Json, NatsUrl, Token, fail, locate_or_fail, settings_or_fail

if TYPE_CHECKING:
    from contracts.errors import JsonObject

dead_letters = typer.Typer(help="Look at refused messages, correct them, run them again.", no_args_is_help=True)

Kinds = Annotated[list[str] | None, typer.Option("--kind", metavar="KIND", help="Only these kinds.")]
Codes = Annotated[list[str] | None, typer.Option("--code", metavar="CODE", help="Only these error codes.")]
Producers = Annotated[list[str] | None, typer.Option("--producer", metavar="NAME", help="Only these producers.")]
States = Annotated[
    list[str] | None, typer.Option("--state", metavar="STATE", help="open, replaying, resolved or discarded.")
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="From this moment on (RFC 3339 with an offset).")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this moment (RFC 3339 with an offset).")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="At most so many.")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where the last page ended.")]
Letter = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")]

_COMMAND: Final = "dead-letters"
_TIMEOUT_S: Final = 30.0


def _asker(config: Path | None, nats_url: str | None, token: str | None, *, as_json: bool) -> Asker:
    settings = settings_or_fail(config, as_json=as_json)
    locate = locate_or_fail(settings, nats_url, as_json=as_json)
    return Asker(settings, locate, token, _TIMEOUT_S, as_json)


def _run(asker: Asker, payload: "JsonObject") -> None:
    answer = asker.ask(_COMMAND, payload)
    asker.show(_COMMAND, answer)
    raise typer.Exit(0 if answer.is_good else FAILED)


def _filters(**given: "list[str] | str | int | None") -> "JsonObject":
    return {name: value for name, value in given.items() if value is not None and value != []}  # type: ignore[misc]  # a list of strings is a JSON value


def _finding(action: str) -> Callable[..., None]:
    """A command that asks with every filter."""

    def command(
        kinds: Kinds = None, codes: Codes = None, producers: Producers = None, states: States = None,
        since: Since = None, until: Until = None, limit: Limit = 50, cursor: Cursor = None,
        nats_url: NatsUrl = None, token: Token = None, config: Config = None, as_json: Json = False,
    ) -> None:  # fmt: skip
        asked = _filters(
            kinds=kinds,
            codes=codes,
            producers=producers,
            states=states,
            since=since,
            until=until,
            limit=limit,
            cursor=cursor,
        )
        _run(_asker(config, nats_url, token, as_json=as_json), {"action": action, **asked})

    return command


dead_letters.command("list", help="List dead letters, newest first.")(_finding("list"))
dead_letters.command(
    "groups",
    help="Group them by kind, code, paths and producer: ten thousand failures of one producer are one line.",
)(_finding("groups"))


@dead_letters.command()
def show(
    letter: Letter, nats_url: NatsUrl = None, token: Token = None, config: Config = None, as_json: Json = False
) -> None:
    """Show one dead letter whole: the reason, where it came from, its body."""
    _run(_asker(config, nats_url, token, as_json=as_json), {"action": "show", "dead_letter_id": letter})


@dead_letters.command()
def discard(
    letter: Letter, nats_url: NatsUrl = None, token: Token = None, config: Config = None, as_json: Json = False
) -> None:
    """Discard one dead letter: it is never replayed."""
    _run(_asker(config, nats_url, token, as_json=as_json), {"action": "discard", "dead_letter_id": letter})


@dead_letters.command()
def edit(
    letter: Letter,
    body: Annotated[str, typer.Argument(metavar="FILE", help="The corrected body; - is standard input.")],
    nats_url: NatsUrl = None, token: Token = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Replay one with a corrected body; the gate judges it, the original is kept."""
    try:
        text = sys.stdin.read() if body == "-" else Path(body).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{body}: {error.strerror if isinstance(error, OSError) else 'is not UTF-8 text'}", as_json=as_json)
    asked: JsonObject = {"action": "edit", "dead_letter_id": letter, "body": text}
    _run(_asker(config, nats_url, token, as_json=as_json), asked)


@dead_letters.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="These dead letters.")] = None,
    kinds: Kinds = None, codes: Codes = None, producers: Producers = None, since: Since = None, until: Until = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be replayed.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow the replay to its summary.")] = True,
    nats_url: NatsUrl = None, token: Token = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Run dead letters again, as they came."""
    from daemon.cli.output.following import ended_well, follow

    asked = _filters(ids=ids, kinds=kinds, codes=codes, producers=producers, since=since, until=until)
    asked |= {"targets": ["dead_letters"], "all": everything, "dry_run": dry_run}
    asker = _asker(config, nats_url, token, as_json=as_json)
    answer = asker.ask("replay-failed", asked)
    if answer.is_good and wait and not dry_run:
        answer = follow(asker, "replay-failed", answer)
        asker.show("replay-status", answer)
        raise typer.Exit(0 if ended_well(answer) else FAILED)
    asker.show("replay-failed", answer)
    raise typer.Exit(0 if answer.is_good else FAILED)
