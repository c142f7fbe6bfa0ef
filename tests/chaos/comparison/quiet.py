"""Waiting until nothing is left to be done: facts, each with what it looked like when nothing moved any more."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

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


class Left(NamedTuple):
    """What is still missing, and how much of it."""

    amount: int
    what: str


_NOTHING: Final = Left(0, "")
_UNKNOWN: Final = 2**62

Look = Callable[[], Awaitable[Left]]


class NotQuietError(AssertionError):
    """The system did not come to rest; says what was left."""


async def wait_for_quiet(
    supervisors: list[Supervisor], nc: Client, evidence: Evidence, say: Say, *, still_s: float
) -> float:
    """Wait until every daemon is ready, every consumer has acknowledged its stream to the end and the outbox is empty.

    Answers how many seconds that took. It may take as long as less and less is left: how much there is to do depends
    on how long everything was down. Raises :class:`NotQuietError` where for *still_s* seconds it has not become less.
    """
    started = moved = time.monotonic()
    looks: list[Look] = [
        lambda: _daemons_missing(supervisors),
        lambda: _streams_left(nc.jetstream(timeout=2)),
        lambda: _outbox_left(evidence),
        lambda: _work_left(nc.jetstream(timeout=2)),
        lambda: _unready(supervisors),
    ]
    quiet, tell_at = 0, started + _TELL_S
    least: tuple[int, int] | None = None
    while True:
        undone, left = await _first_left(looks)
        # What one look finds empty may be filled by what a later one finds done: twice in a row is rest.
        quiet = quiet + 1 if not undone else 0
        if quiet == 2:
            return time.monotonic() - started
        if least is None or (undone, left.amount) < least:
            least, moved = (undone, left.amount), time.monotonic()
        if time.monotonic() - moved > still_s:
            raise NotQuietError(f"nothing has moved for {still_s:.0f} s: {left.what}")
        if time.monotonic() > tell_at:
            say(f"waiting for rest: {left.what}")
            tell_at += _TELL_S
        await asyncio.sleep(_LOOK_S)


async def _first_left(looks: list[Look]) -> tuple[int, Left]:
    """How many looks are not done, and what the first of them finds."""
    for number, look in enumerate(looks):
        left = await look()
        if left.what:
            return len(looks) - number, left
    return 0, _NOTHING


async def _daemons_missing(supervisors: list[Supervisor]) -> Left:
    missing = [supervisor.name for supervisor in supervisors if not supervisor.is_ready]
    return Left(len(missing), f"not ready: {', '.join(missing)}") if missing else _NOTHING


async def _streams_left(js: JetStreamContext) -> Left:
    total, first = 0, ""
    try:
        for stream, consumer in CONSUMERS:
            state = (await js.stream_info(stream)).state
            # A message that a full disk refused may have left its number behind, in a stream that holds nothing.
            last = state.last_seq if state.messages else 0
            info = await js.consumer_info(stream, consumer)
            floor = 0 if info.ack_floor is None else info.ack_floor.stream_seq
            if floor < last:
                total += (info.num_pending or 0) + (info.num_ack_pending or 0) + last - floor
                first = first or (
                    f"{stream}: acknowledged up to {floor} of {last}, {info.num_pending} not delivered, "
                    f"{info.num_ack_pending} delivered and not acknowledged, {info.num_redelivered} redelivered"
                )
    except (NatsError, OSError, TimeoutError) as error:
        return Left(_UNKNOWN, f"the server does not answer: {error!r}")
    return Left(total, first)


async def _outbox_left(evidence: Evidence) -> Left:
    try:
        (row,) = await evidence.query("SELECT count(*) AS pending FROM outbox WHERE state = 'pending'")
    except (OSError, TimeoutError, *evidence.errors) as error:
        return Left(_UNKNOWN, f"the database does not answer: {error!r}")
    pending = int(str(row["pending"]))
    return Left(pending, f"{pending} rows in the outbox") if pending else _NOTHING


async def _work_left(js: JetStreamContext) -> Left:
    """Judged by the worker's consumer: after a full disk a work queue may keep messages that were acknowledged."""
    try:
        info = await js.consumer_info("HG_WORK", WORKER)
    except (NatsError, OSError, TimeoutError) as error:
        return Left(_UNKNOWN, f"the server does not answer: {error!r}")
    pending, in_hand = info.num_pending or 0, info.num_ack_pending or 0
    if not pending and not in_hand:
        return _NOTHING
    return Left(pending + in_hand, f"HG_WORK: {pending} not delivered, {in_hand} delivered and not acknowledged")


async def _unready(supervisors: list[Supervisor]) -> Left:
    """A daemon looks at what it stands on every few seconds; until it has, it does not call itself ready again."""
    for supervisor in supervisors:
        try:
            metrics = await read_metrics(supervisor.daemon.http_url)
        except (OSError, ValueError) as error:
            return Left(_UNKNOWN, f"{supervisor.name} shows no metrics: {error!r}")
        if metrics.value("headgate_ready") != 1.0:
            return Left(1, f"{supervisor.name} says that it is not ready")
    return _NOTHING
