"""Publishing to streams: many messages as atomic batches, the rest pipelined, one outcome for each.

An atomic batch is the cheap way to be on disk: the server syncs once for up to 1,000 messages. It is all or nothing:
one message that is known already, or unacceptable, rejects all, and the chunk is then sent again as single messages,
which tells them apart. What follows a chunk that could not be stored is not sent in the same call, so that messages
keep their order.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from adapters.nats.jetstream_api import answered, integer, section
from adapters.nats.outgoing import Outgoing, Published, PublishStatus, UnpublishableError, encode, not_stored
from adapters.nats.replies import Replies
from adapters.nats.wire import Encoded, publication, write_together

BATCH_FROM: Final = 10
BATCH_MOST: Final = 1000
BATCH_BYTES: Final = 8 * 1024 * 1024
_PIPELINE: Final = 256
_FULL: Final = 10077
# Room for the headers that make a message part of a batch: a message at the very limit goes out alone.
_BATCH_HEADER_BYTES: Final = 256

_UNKNOWN: Final = Published(PublishStatus.UNKNOWN, reason="no answer in time")
_BEHIND: Final = Published(PublishStatus.UNAVAILABLE, reason="waits for a message before it")
_AWAY: Final = Published(PublishStatus.UNAVAILABLE, reason="not connected to the server")


class StreamPublisher:
    """Publishes to the streams of one connection. ``timeout_s`` is how long an answer may take until the outcome counts
    as unknown; ``batch_from`` the number of messages from which a batch pays."""

    def __init__(self, nc: Client, *, timeout_s: float = 5.0, batch_from: int = BATCH_FROM) -> None:
        self._nc = nc
        self._timeout_s = timeout_s
        self._batch_from = batch_from
        self._replies = Replies(nc)

    async def publish(self, stream: str, messages: Sequence[Outgoing]) -> list[Published]:
        """Publish to ``stream`` in order; answers one outcome for each message, in the same order, and never raises for
        what the server or the connection does."""
        outcomes: dict[int, Published] = {}
        encoded: dict[int, Encoded] = {}
        for index, message in enumerate(messages):
            try:
                encoded[index] = self._encoded(message)
            except UnpublishableError as error:
                outcomes[index] = Published(PublishStatus.REFUSED, reason=f"{stream}: {error}")
        for chunk in _chunks(encoded):
            in_batch = len(chunk) >= self._batch_from and self._fits_a_batch(chunk, encoded, messages)
            answers = await self._publish_chunk(stream, [encoded[index] for index in chunk], in_batch=in_batch)
            outcomes.update(zip(chunk, answers, strict=True))
            if _is_held_up(answers):
                break
        return [outcomes.get(index, _BEHIND) for index in range(len(messages))]

    async def close(self) -> None:
        """Give up the reply subscription; closing twice is fine."""
        await self._replies.close()

    def _encoded(self, message: Outgoing) -> Encoded:
        encoded, limit = encode(message), self._nc.max_payload
        if encoded.size > limit:
            raise UnpublishableError(f"{encoded.size} bytes with headers are over the server's limit of {limit}")
        return encoded

    def _fits_a_batch(self, chunk: list[int], encoded: Mapping[int, Encoded], messages: Sequence[Outgoing]) -> bool:
        limit = self._nc.max_payload - _BATCH_HEADER_BYTES
        return all(encoded[index].size <= limit and not messages[index].tried for index in chunk)

    async def _publish_chunk(self, stream: str, messages: list[Encoded], *, in_batch: bool) -> list[Published]:
        if not self._nc.is_connected:
            return [_AWAY] * len(messages)
        pipeline = _PIPELINE
        if in_batch:
            answer = await self._publish_batch(stream, messages)
            if answer.sequence is not None:
                first = answer.sequence - len(messages) + 1
                return [Published(PublishStatus.STORED, first + offset) for offset in range(len(messages))]
            if answer.err_code is None:  # no answer, no stream or no connection: true for every message
                return [answer] * len(messages)
            if answer.err_code == _FULL:
                pipeline = 1  # a part may fit, and it must be the first part
        return await self._publish_singly(stream, messages, pipeline)

    async def _publish_batch(self, stream: str, messages: list[Encoded]) -> Published:
        """One atomic batch; ``sequence`` of the answer is that of its last message. Only the commit asks for a reply:
        to an unacceptable message in the middle it answers that the batch is incomplete."""
        batch_id = self._replies.new_id()
        async with self._replies.expect(1) as flight:
            try:
                await write_together(self._nc, _batch(messages, batch_id, flight.reply_to(0)))
            except NatsError as error:
                return Published(PublishStatus.UNAVAILABLE, reason=f"{stream}: {error}")
            answers = await flight.wait(self._timeout_s)
        return _read(stream, answers[0])

    async def _publish_singly(self, stream: str, messages: list[Encoded], pipeline: int) -> list[Published]:
        outcomes: list[Published] = []
        for start in range(0, len(messages), pipeline):
            outcomes += await self._publish_pipelined(stream, messages[start : start + pipeline])
            if _is_held_up(outcomes):
                break
        return outcomes + [_BEHIND] * (len(messages) - len(outcomes))

    async def _publish_pipelined(self, stream: str, messages: list[Encoded]) -> list[Published]:
        async with self._replies.expect(len(messages)) as flight:
            try:
                await write_together(
                    self._nc, [publication(each, flight.reply_to(at)) for at, each in enumerate(messages)]
                )
            except NatsError as error:
                return [Published(PublishStatus.UNAVAILABLE, reason=f"{stream}: {error}")] * len(messages)
            answers = await flight.wait(self._timeout_s)
        return [_read(stream, answer) for answer in answers]


def _batch(messages: Sequence[Encoded], batch_id: str, reply_to: str) -> list[bytes]:
    """The commands of one atomic batch."""
    lines = b"Nats-Batch-Id: %b\r\nNats-Batch-Sequence: " % batch_id.encode()
    commands = [
        publication(message, more_headers=b"%b%d\r\n" % (lines, number))
        for number, message in enumerate(messages[:-1], start=1)
    ]
    commit = b"%b%d\r\nNats-Batch-Commit: 1\r\n" % (lines, len(messages))
    return [*commands, publication(messages[-1], reply_to, commit)]


def _chunks(encoded: Mapping[int, Encoded]) -> Iterator[list[int]]:
    """The messages in order, cut so that a chunk can be one batch."""
    chunk: list[int] = []
    total = 0
    for index, message in encoded.items():
        size = message.size
        if chunk and (len(chunk) == BATCH_MOST or total + size > BATCH_BYTES):
            yield chunk
            chunk, total = [], 0
        chunk.append(index)
        total += size
    if chunk:
        yield chunk


def _is_held_up(answers: Sequence[Published]) -> bool:
    return any(answer.outcome in (PublishStatus.UNKNOWN, PublishStatus.UNAVAILABLE) for answer in answers)


def _read(stream: str, answer: Msg | None) -> Published:
    """What the server said to one publish (or to the commit of a batch)."""
    if answer is None:
        return _UNKNOWN
    if not answer.data:
        return Published(PublishStatus.UNAVAILABLE, reason=f"{stream}: no stream takes the subject")
    said = answered(answer.data)
    if said is not None and "error" in said:
        error = section(said, "error")
        return not_stored(integer(error, "err_code"), f"{stream}: {error.get('description', '')}")
    if said is None or not (sequence := integer(said, "seq")):
        # Anybody may publish to an inbox: what is no answer of the server says nothing.
        return Published(PublishStatus.UNKNOWN, reason=f"{stream}: the answer is none of the server's")
    outcome = PublishStatus.DUPLICATE if said.get("duplicate") else PublishStatus.STORED
    return Published(outcome, sequence)
