"""``headgate conformance``: tries programs that others wrote against the rules."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.shared import FAILED, USAGE, Json, fail, print_json
from daemon.terminal import escaped

if TYPE_CHECKING:
    from daemon.conformance.rules import Verdict

conformance = typer.Typer(help="Try programs of others against the rules.", no_args_is_help=True)


WorkS = Annotated[float, typer.Option("--work-s", help="How long one piece of its work may take.")]
QuietS = Annotated[float, typer.Option("--quiet-s", help="How long to look for what must not come.")]


@conformance.command()
def worker(
    subject: Annotated[str, typer.Option("--subject", metavar="SUBJECT", help="What it takes: hg.work.job.process.")],
    program: Annotated[
        str | None,
        typer.Option("--exec", metavar="COMMAND", help="Start it with this, NATS_URL and CALLBACK_SECRET given."),
    ] = None,
    wait_s: Annotated[float, typer.Option("--wait-s", help="How long to wait for it to come.")] = 60.0,
    work_s: WorkS = 120.0,
    quiet_s: QuietS = 5.0,
    as_json: Json = False,
) -> None:
    """Hand out, repeat, spoil and cancel work on an own server; say which rules the worker breaks (exit code 1)."""
    from adapters.errors import AdapterError
    from contracts.subjects import Subjects
    from contracts.values.work import WorkType

    bare = Subjects().bare(subject) or subject
    known = {f"work.{work_type}": work_type for work_type in WorkType}
    if bare not in known:
        fail(f"{subject}: no subject of work, one of: {', '.join(known)}", as_json=as_json, code=USAGE)
    from daemon.conformance.programs import Patience
    from daemon.conformance.run import try_worker

    def announce(url: str, secret: str) -> None:
        if program is None and not as_json:
            print(f"waiting for a worker:\n  NATS_URL={url}\n  CALLBACK_SECRET={secret}", flush=True)

    patience = Patience(program_s=wait_s, work_s=work_s, quiet_s=quiet_s)
    command = shlex.split(program) if program else []
    try:
        verdicts = try_worker(known[bare], command, patience, announce)
    except (AdapterError, OSError) as error:
        fail(str(error), as_json=as_json)
    _show(verdicts, as_json=as_json)


@conformance.command()
def producer(
    program: Annotated[
        str | None,
        typer.Option("--exec", metavar="COMMAND", help="Start it with this, NATS_URL given, several times."),
    ] = None,
    wait_s: Annotated[float, typer.Option("--wait-s", help="How long to wait for its first record.")] = 60.0,
    work_s: Annotated[float, typer.Option("--work-s", help="How long a record may take to come again.")] = 30.0,
    quiet_s: QuietS = 5.0,
    as_json: Json = False,
) -> None:
    """Stand in for the stream, lose an acknowledgement and a receipt; say which rules it breaks (exit code 1)."""
    from adapters.errors import AdapterError
    from daemon.conformance.programs import Patience
    from daemon.conformance.run import try_producer

    def announce(url: str) -> None:
        if program is None and not as_json:
            print(f"waiting for a producer:\n  NATS_URL={url}", flush=True)

    patience = Patience(program_s=wait_s, work_s=work_s, quiet_s=quiet_s)
    try:
        verdicts = try_producer(shlex.split(program) if program else [], patience, announce)
    except (AdapterError, OSError) as error:
        fail(str(error), as_json=as_json)
    _show(verdicts, as_json=as_json)


def _show(verdicts: "list[Verdict]", *, as_json: bool) -> None:
    from daemon.conformance.rules import Outcome

    broken = sum(verdict.outcome is Outcome.BROKEN for verdict in verdicts)
    if as_json:
        print_json({"broken": broken, "verdicts": [verdict.as_json() for verdict in verdicts]})
    else:
        for verdict in verdicts:
            detail = f": {verdict.detail}" if verdict.detail else ""
            print(escaped(f"{verdict.outcome:<9} {verdict.rule}{detail}"))
        print(f"{len(verdicts)} rules tried, {broken} broken")
    if broken:
        raise typer.Exit(FAILED)
