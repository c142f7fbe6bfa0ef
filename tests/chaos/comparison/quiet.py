"""Waiting until nothing is left to be done: facts, each with what it looked like when time ran out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from tests.chaos.comparison.evidence import Evidence, read_metrics
from tests.chaos.load.worker import DURABLE as WORKER
from tests.chaos.system.supervisor import Say, Supervisor

CONSUMERS: Final = (
    ("HG_INGEST", "headgate-ingest"),
    ("HG_CALLBACK", "headgate-callback"),
    ("HG_REPLAY", "headgate-replay"),
)
_LOOK_S: Final = 0.2
_TELL_S: Final = 10.0

Look = Callable[[], Awaitable[str]]
"""Answers what is still missing; empty where nothing is."""


class NotQuietError(AssertionError):
    """The system did not come to rest in time; says what was left."""


async def wait_for_quiet(
    supervisors: list[Supervisor], nc: Client, evidence: Evidence, say: Say, *, within_s: float
) -> float:
    """Wait until every daemon is ready, every consumer has acknowledged its stream to the end and the outbox is empty.

    Answers how many seconds that took; raises :class:`NotQuietError`.
    """
    started = time.monotonic()
    looks: list[Look] = [
        lambda: _daemons_missing(supervisors),
        lambda: _streams_left(nc.jetstream(timeout=2)),
        lambda: _outbox_left(evidence),
        lambda: _work_left(nc.jetstream(timeout=2)),
        lambda: _unready(supervisors),
    ]
    left, quiet, tell_at = "nothing was looked at", 0, started + _TELL_S
    while time.monotonic() - started < within_s:
        left = ""
        for look in looks:
            left = left or await look()
        # What one look finds empty may be filled by what a later one finds done: twice in a row is rest.
        quiet = 0 if left else quiet + 1
        if quiet == 2:
            return time.monotonic() - started
        if time.monotonic() > tell_at:
            say(f"waiting for rest: {left}")
            tell_at += _TELL_S
        await asyncio.sleep(_LOOK_S)
    raise NotQuietError(f"not quiet after {within_s:.0f} s: {left}")


async def _daemons_missing(supervisors: list[Supervisor]) -> str:
    missing = [supervisor.name for supervisor in supervisors if not supervisor.is_ready]
    return f"not ready: {', '.join(missing)}" if missing else ""


async def _streams_left(js: JetStreamContext) -> str:
    try:
        for stream, consumer in CONSUMERS:
            last = (await js.stream_info(stream)).state.last_seq
            info = await js.consumer_info(stream, consumer)
            floor = 0 if info.ack_floor is None else info.ack_floor.stream_seq
            if floor < last:
                return (
                    f"{stream}: acknowledged up to {floor} of {last}, {info.num_pending} not delivered, "
                    f"{info.num_ack_pending} delivered and not acknowledged, {info.num_redelivered} redelivered"
                )
    except (NatsError, OSError, TimeoutError) as error:
        return f"the server does not answer: {error!r}"
    return ""


async def _outbox_left(evidence: Evidence) -> str:
    try:
        (row,) = await evidence.query("SELECT count(*) AS pending FROM outbox WHERE state = 'pending'")
    except (OSError, TimeoutError, *evidence.errors) as error:
        return f"the database does not answer: {error!r}"
    return f"{row['pending']} rows in the outbox" if row["pending"] else ""


async def _work_left(js: JetStreamContext) -> str:
    """Judged by the worker's consumer: after a full disk a work queue may keep messages that were acknowledged."""
    try:
        info = await js.consumer_info("HG_WORK", WORKER)
    except (NatsError, OSError, TimeoutError) as error:
        return f"the server does not answer: {error!r}"
    if not info.num_pending and not info.num_ack_pending:
        return ""
    return f"HG_WORK: {info.num_pending} not delivered, {info.num_ack_pending} delivered and not acknowledged"


async def _unready(supervisors: list[Supervisor]) -> str:
    """A daemon looks at what it stands on every few seconds; until it has, it does not call itself ready again."""
    for supervisor in supervisors:
        try:
            metrics = await read_metrics(supervisor.daemon.http_url)
        except (OSError, ValueError) as error:
            return f"{supervisor.name} shows no metrics: {error!r}"
        if metrics.value("headgate_ready") != 1.0:
            return f"{supervisor.name} says that it is not ready"
    return ""
