"""Filling a stream, and watching a consumer work it off."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol
from uuid import uuid4

import orjson
from nats.aio.client import Client

from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Limits, Topology, topology
from bench.setting.messages import SUBJECT
from contracts.subjects import Family, Subjects

INGEST: Final = Subjects().stream(Family.INGEST)
CONSUMER: Final = Subjects().consumer(Family.INGEST)
BATCH: Final = 1_000
"""The server's limit for one atomic batch; with ``sync_interval: always`` a batch costs one fsync."""

STALL_S: Final = 30.0
"""A contender that acknowledges nothing and takes nothing for so long is not slow but stuck."""

_FULL: Final = 10077
_POLL_S: Final = 0.01
_REQUEST_TIMEOUT_S: Final = 30.0


class BenchError(Exception):
    """The measurement is void: a contender was wrong, or ended, or took too long."""


class Worker(Protocol):
    """The process that works the stream off."""

    def ended(self) -> bool: ...
    def last_words(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Worked:
    """A consumer's way through its stream. ``seconds`` runs from the first delivery to the last acknowledgement."""

    seconds: float
    redelivered: int


@dataclass(frozen=True, slots=True)
class _Progress:
    delivered: int
    acknowledged: int
    pending_acks: int
    redelivered: int


async def make_streams(client: Client, *, consumers: bool) -> None:
    """What the daemon makes on its server, exactly: with its consumers, or for contenders that make their own."""
    wanted = topology(Subjects(), Limits())
    await provision(client, wanted if consumers else Topology(wanted.streams))


async def fill(client: Client, bodies: Iterable[bytes], subject: str = SUBJECT) -> int:
    """Publish everything by atomic batches, waiting while the stream is full; answers the last stream sequence."""
    last = 0
    for batch in _batches(bodies, BATCH):
        while (sequence := await _publish_batch(client, batch, subject)) is None:  # noqa: ASYNC110 - the server makes room
            await asyncio.sleep(0.05)
        last = sequence
    return last


async def _publish_batch(client: Client, batch: list[bytes], subject: str) -> int | None:
    """The stream sequence of the batch's last message, or none where the stream is full."""
    batch_id = uuid4().hex
    for number, body in enumerate(batch[:-1], 1):
        await client.publish(subject, body, headers=_batch_headers(batch_id, number))
    commit = {**_batch_headers(batch_id, len(batch)), "Nats-Batch-Commit": "1"}
    reply = await client.request(subject, batch[-1], timeout=_REQUEST_TIMEOUT_S, headers=commit)
    answer = orjson.loads(reply.data)
    if "error" not in answer:
        return int(answer["seq"])
    if answer["error"].get("err_code") == _FULL:
        return None
    raise BenchError(f"the server refused a batch: {answer['error']}")


def _batch_headers(batch_id: str, number: int) -> dict[str, str]:
    return {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(number)}


def _batches(bodies: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    rest = iter(bodies)
    while batch := list(islice(rest, size)):
        yield batch


class ConsumerWatch:
    """Times a consumer from outside, by polling the server: the same clock for every contender."""

    def __init__(self, client: Client, consumer: str, stream: str = INGEST) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.INFO.{stream}.{consumer}"

    async def until(self, last_sequence: int, worker: Worker, timeout_s: float) -> Worked:
        """Wait until everything up to *last_sequence* is acknowledged, and say how long it took.

        The clock starts at the last poll that saw nothing delivered. Raises :class:`BenchError` as :meth:`done` does,
        and where the watch began too late to see that: it has measured nothing.
        """
        started: float | None = None
        redelivered = 0
        async for asked, progress in self._follow(last_sequence, worker, timeout_s):
            if progress is None or not progress.delivered:
                started = asked
            elif started is None:
                raise BenchError(f"the watch began after the contender, at {progress}")
            else:
                redelivered = progress.redelivered
        if started is None:
            raise BenchError("the watch saw nothing")
        return Worked(time.perf_counter() - started, redelivered)

    async def done(self, last_sequence: int, worker: Worker, timeout_s: float) -> None:
        """Wait until everything up to *last_sequence* is acknowledged, whenever that began.

        Raises :class:`BenchError` where *worker* ends before that, stands still, or is not done after *timeout_s*.
        """
        async for _ in self._follow(last_sequence, worker, timeout_s):
            pass

    async def _follow(
        self, last_sequence: int, worker: Worker, timeout_s: float
    ) -> AsyncIterator[tuple[float, _Progress | None]]:
        """Every poll (when it was asked, what it saw), the one that saw the end included."""
        deadline = time.perf_counter() + timeout_s
        stalled_at = time.perf_counter() + STALL_S
        before: _Progress | None = None
        while True:
            asked = time.perf_counter()
            progress = await self._progress()
            yield asked, progress
            if progress is not None and progress.acknowledged >= last_sequence and not progress.pending_acks:
                return
            if worker.ended():
                raise BenchError(f"the contender ended at {progress}: {worker.last_words()}")
            if progress != before:
                before, stalled_at = progress, asked + STALL_S
            if asked > min(deadline, stalled_at):
                why = f"not done within {timeout_s:g} s" if asked > deadline else f"no progress for {STALL_S:g} s"
                raise BenchError(f"{why}, at {progress}: {worker.last_words()}")
            await asyncio.sleep(_POLL_S)

    async def _progress(self) -> _Progress | None:
        """None while the consumer does not exist."""
        answer = orjson.loads((await self._client.request(self._subject, timeout=_REQUEST_TIMEOUT_S)).data)
        if "error" in answer:
            return None
        return _Progress(
            delivered=answer["delivered"]["consumer_seq"],
            acknowledged=answer["ack_floor"]["stream_seq"],
            pending_acks=answer["num_ack_pending"],
            redelivered=answer["num_redelivered"],
        )
