"""``headgate watch``: the daemon's figures, again and again."""

import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final

import typer

from daemon.cli.shared import NO_DAEMON, Config, Json, NatsUrl, daemon_or_fail, fail, settings_or_fail

if TYPE_CHECKING:
    from rich.console import RenderableType

    from daemon.cli.watch.watch_readings import Reading
    from daemon.settings.model import Settings

_HISTORY: Final = 60


def watch(
    interval: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time between two readings.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Show one view, over one interval, and end.")] = False,
    nats_url: NatsUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show throughput by kind and outcome, lag, refusals, outbox, dead letters and dependencies, live.

    --json prints one object a line; q ends a live view. A daemon that goes away is waited for; without one in the first
    place the exit code is 3. With --nats-url the figures are those of the daemon's pulses.
    """
    settings = settings_or_fail(config, as_json=as_json)
    every = _readings(settings, nats_url, interval, as_json=as_json)
    try:
        if once:
            _show_once(every, as_json=as_json)
        elif as_json:
            for reading in every:
                print(json.dumps(reading.as_json(), ensure_ascii=False), flush=True)
        else:
            _show_live(every)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read has seen enough; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _readings(settings: "Settings", nats_url: str | None, interval: float, *, as_json: bool) -> "Iterator[Reading]":
    if nats_url is None:
        daemon_or_fail(settings, as_json=as_json)
        from daemon.cli.watch.watch_readings import readings

        return readings(settings.daemon.state_dir, interval)
    from contracts.subjects import Subjects
    from daemon.cli.link.link import Link, hosts
    from daemon.cli.watch.watch_pulses import pulse_readings

    link = Link(
        lambda: nats_url,
        inbox_prefix=settings.limits.reply_prefixes[0],
        credentials=settings.nats.credentials,
    )
    return pulse_readings(link, Subjects(settings.nats.prefix), hosts(nats_url), interval)


def _show_once(every: "Iterator[Reading]", *, as_json: bool) -> None:
    """The second reading: the first that knows what comes in a second."""
    reading = next(islice(every, 1, None))
    if reading.figures is None:
        fail(reading.reason, as_json=as_json, code=NO_DAEMON)
    if as_json:
        print(json.dumps(reading.as_json(), ensure_ascii=False), flush=True)
        return
    from daemon.cli.output.tables import console

    console().print(_Watched().drawn(reading))


def _show_live(every: "Iterator[Reading]") -> None:
    """On a terminal one view in place, which stays when it ends; else one view after another."""
    from rich.live import Live

    from daemon.cli.output.tables import console
    from daemon.cli.watch.quit_key import quit_by_key

    out = console()
    watched = _Watched()
    if not out.is_terminal:
        for reading in every:
            out.print(watched.drawn(reading))
        return
    last: RenderableType = ""
    try:
        with quit_by_key(), Live(console=out, screen=True, auto_refresh=False) as live:
            for reading in every:
                last = watched.drawn(reading)
                live.update(last, refresh=True)
    finally:
        out.print(last)


class _Watched:
    """What was seen so far: the throughput of the last readings."""

    def __init__(self) -> None:
        self._history: deque[float] = deque(maxlen=_HISTORY)

    def drawn(self, reading: "Reading") -> "RenderableType":
        from daemon.cli.watch.watch_view import away, view

        if reading.figures is None:
            self._history.append(0.0)
            return away(reading.reason)
        if reading.figures.per_second is not None:
            self._history.append(reading.figures.per_second)
        return view(reading.figures, self._history, reading.address)
