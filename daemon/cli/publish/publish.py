"""``headgate publish``: records to the gate, and what it says to each."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.record_files import Layout, Source, source_of
from daemon.cli.shared import Config, Json, NatsUrl, Token, fail, locate_or_fail, print_json, settings_or_fail

if TYPE_CHECKING:
    from daemon.cli.link.link import Locate
    from daemon.cli.publish.letters import Open
    from daemon.cli.publish.publish_view import Say
    from daemon.cli.publish.tally import Tally
    from daemon.settings.model import Settings

_INTERRUPTED = 130
_PRODUCER = "headgate-publish"


Files = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE]...", help="JSON or JSON Lines; - is standard input.")
]
Kind = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="Publish to this kind's subject, whatever the envelope says; for version 1."),
]
Wrap = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="The records are bare payloads of this kind: make envelopes around them."),
]
SchemaVersion = Annotated[
    str | None, typer.Option(metavar="V", help="With --wrap: the payloads' schema; without it the kind's newest.")
]
Producer = Annotated[str, typer.Option(metavar="NAME", help="With --wrap: the envelopes' producer.")]
MessageIdField = Annotated[
    str | None, typer.Option(metavar="FIELD", help="With --wrap: the payload's field that is the message id.")
]
MessageIdByLine = Annotated[
    bool,
    typer.Option("--message-id-by-line", help="With --wrap: the message id is file:line, not the payload's hash."),
]
Format = Annotated[Layout, typer.Option("--format", help="How records stand in the files.")]
WithReceipts = Annotated[bool, typer.Option(help="Wait for what becomes of each record.")]
StallTimeout = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="Give up when nothing at all has moved for so long.")
]


def publish(
    files: Files = None,
    kind: Kind = None,
    wrap: Wrap = None,
    schema_version: SchemaVersion = None,
    producer: Producer = _PRODUCER,
    message_id_field: MessageIdField = None,
    message_id_by_line: MessageIdByLine = False,
    layout: Format = Layout.AUTO,
    receipts: WithReceipts = True,
    timeout: StallTimeout = 120.0,
    nats_url: NatsUrl = None,
    token: Token = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Publish records durably, wait for their receipts and say what became of them.

    Exit code 0 when every record was accepted or known already, else 1. Publishing a file again is safe: what was taken
    counts as a duplicate.
    """
    open_record = _opener(kind, wrap, schema_version, producer, message_id_field, by_line=message_id_by_line)
    settings = settings_or_fail(config, as_json=as_json)
    job = _Job(
        sources=_sources(files, as_json=as_json),
        layout=layout,
        open_record=open_record,
        receipts=receipts,
        stall_s=timeout,
        token=token,
    )
    tally, code = _run(job, settings, nats_url, as_json=as_json)
    if as_json:
        print_json(tally.as_json())
    else:
        from daemon.cli.publish.publish_view import print_summary

        print_summary(tally)
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class _Job:
    sources: list[Source]
    layout: Layout
    open_record: "Open"
    receipts: bool
    stall_s: float
    token: str | None


def _opener(
    kind: str | None,
    wrap: str | None,
    schema_version: str | None,
    producer: str,
    id_field: str | None,
    *,
    by_line: bool,
) -> "Open":
    """What makes messages of records, as the options say."""
    from daemon.cli.publish.letters import Wrapping, enveloped, newest_version

    if wrap is None:
        if schema_version is not None or id_field is not None or by_line or producer != _PRODUCER:
            raise typer.BadParameter("envelopes say it themselves; it is for --wrap", param_hint="--wrap")
        return enveloped(kind)
    if kind is not None:
        raise typer.BadParameter("--wrap names the kind", param_hint="--kind")
    if id_field is not None and by_line:
        raise typer.BadParameter("one message id is enough", param_hint="--message-id-by-line")
    version = schema_version or newest_version(wrap)
    if version is None:
        raise typer.BadParameter(f"{wrap} is no known kind; name its --schema-version too", param_hint="--wrap")
    return Wrapping(wrap, version, producer, id_field=id_field, by_line=by_line).letter


def _sources(files: list[str] | None, *, as_json: bool) -> list[Source]:
    """Every source, known to be readable before anything is published."""
    if not files and sys.stdin.isatty():
        raise typer.BadParameter("name files, or - for standard input", param_hint="FILE")
    sources: list[Source] = []
    faults: list[str] = []
    for name in files or ["-"]:
        try:
            sources.append(source_of(name))
        except OSError as error:
            faults.append(f"{name}: cannot be read: {error.strerror}")
    if faults:
        fail(*faults, as_json=as_json)
    return sources


def _run(job: _Job, settings: "Settings", nats_url: str | None, *, as_json: bool) -> "tuple[Tally, int]":
    """Run the job; what came of it, and the exit code."""
    import uvloop

    from daemon.cli.publish.publish_view import progress
    from daemon.cli.publish.tally import Tally

    locate = locate_or_fail(settings, nats_url, as_json=as_json)
    tally = Tally()
    code = 0
    with progress(job.sources, tally, receipts=job.receipts, quiet=as_json) as say:
        try:
            uvloop.run(_publish(job, settings, locate, tally, say))
        except KeyboardInterrupt:
            tally.stopped = "interrupted"
            code = _INTERRUPTED
        except OSError as error:
            tally.stopped = f"{error.filename or 'the input'}: cannot be read on: {error.strerror}"
        finally:
            tally.end()
    return tally, code or (0 if tally.is_good else 1)


async def _publish(job: _Job, settings: "Settings", locate: "Locate", tally: "Tally", say: "Say") -> None:
    from contracts.subjects import Subjects
    from daemon.cli.link.link import Link
    from daemon.cli.publish.feed import portions
    from daemon.cli.publish.publishing import Options, Publishing
    from daemon.cli.publish.receipts import Receipts

    inbox_prefix = settings.limits.reply_prefixes[0]
    receipts = Receipts(tally, inbox_prefix)
    link = Link(locate, inbox_prefix=inbox_prefix, credentials=settings.nats.credentials, connected=receipts.listen)
    subjects = Subjects(settings.nats.prefix)
    publishing = Publishing(link, subjects, receipts, tally, Options(job.receipts, job.stall_s, job.token), say)
    try:
        await publishing.run(portions(job.sources, job.layout), job.open_record)
    finally:
        await link.close()
