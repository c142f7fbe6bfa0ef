"""Publishing records durably and waiting for what becomes of each.

Records go out in atomic batches, in their order. What may or may not have been stored is sent again with the same
``Nats-Msg-Id``. That id is new in each run: the server silently drops what it has seen within two minutes, and then no
daemon would say that it is a duplicate. Receipts are plain messages and can be lost with a connection: what was
published over one that broke is, after a silence, published anew, which the daemon knows by its message id.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client

from adapters.nats.outgoing import Outgoing, Published, PublishStatus
from adapters.nats.publisher import StreamPublisher
from adapters.record_files import Portion, Unreadable
from contracts.gate.receipts import RECEIPT_HEADER
from contracts.subjects import Family, Subjects, ingest
from daemon.cli.link.link import Link, NotPermitted, Unreachable
from daemon.cli.publish.letters import Letter, Open, Unaddressable
from daemon.cli.publish.receipts import Receipts, SentRecord
from daemon.cli.publish.tally import Fate, Tally

_SILENCE_S: Final = 3.0
_TICK_S: Final = 0.2
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_FULL: Final = 10077


class Stalled(Exception):
    """Nothing has moved for so long that the run is given up; the message says what it waited for."""


@dataclass(frozen=True, slots=True)
class Options:
    """``receipts``: whether they are awaited; ``stall_s``: how long nothing at all may happen; ``token`` vouches for
    the producer where the daemon asks for one."""

    receipts: bool
    stall_s: float
    token: str | None = None


class Publishing:
    """One run over one link. ``say`` is told, once each, what it waits for."""

    def __init__(
        self,
        link: Link,
        subjects: Subjects,
        receipts: Receipts,
        tally: Tally,
        options: Options,
        say: Callable[[str], None],
    ) -> None:
        self._link = link
        self._subjects = subjects
        self._receipts = receipts
        self._tally = tally
        self._options = options
        self._say = say
        self._stream = subjects.stream(Family.INGEST)
        self._run = uuid.uuid4().hex
        self._number = 0
        self._publisher: tuple[Client, StreamPublisher] | None = None
        self._moved = time.monotonic()
        self._said = ""

    async def run(self, portions: AsyncIterable[Portion], open_record: Open) -> None:
        """Publish everything and wait for the receipts; what came of it is in the tally. Raises ``OSError`` where the
        records cannot be read to their end."""
        try:
            async for portion in portions:
                letters = self._letters(portion, open_record)
                self._tally.read_bytes += portion.read_bytes
                if letters:
                    self._progress()
                    await self._until(lambda: not self._receipts.is_full)
                    await self._publish_new(letters)
            self._progress()
            await self._until(lambda: not len(self._receipts))
        except Stalled as stalled:
            self._tally.stopped = str(stalled)
        finally:
            self._tally.count(Fate.NO_RECEIPT, len(self._receipts))

    def _letters(self, portion: Portion, open_record: Open) -> list[Letter]:
        letters: list[Letter] = []
        for item in portion.items:
            if isinstance(item, Unreadable):
                self._tally.not_published(Fate.UNREADABLE, item.place, item.reason)
                continue
            try:
                letters.append(open_record(item))
            except Unaddressable as reason:
                self._tally.not_published(Fate.UNREADABLE, item.place, str(reason))
        return letters

    # -- publishing

    async def _publish_new(self, letters: Sequence[Letter]) -> None:
        batch = [SentRecord(number, letter) for number, letter in enumerate(letters, self._number)]
        self._number += len(batch)
        if self._options.receipts:
            for sent in batch:
                self._receipts.expect(sent)
        await self._publish(batch)

    async def _publish(self, pending: Sequence[SentRecord]) -> None:
        """Until each is stored or rejected. Raises :class:`Stalled`."""
        attempt = 0
        try:
            while pending:
                publisher = await self._connected()
                for sent in pending:
                    sent.tried_over = sent.tried_over or self._link.generation
                messages = [self._outgoing(sent) for sent in pending]
                outcomes = await self._link.permitted(publisher.publish(self._stream, messages))
                left, reason = self._settle(pending, outcomes)
                if left:
                    attempt = attempt + 1 if len(left) == len(pending) else 0
                    await self._pause(reason, attempt)
                pending = left
        except NotPermitted as refused:
            # The server stored none of them, however often they were tried.
            for sent in pending:
                sent.tried = False
            self._give_up(pending)
            raise Stalled(str(refused)) from None
        except BaseException:
            self._give_up(pending)
            raise

    def _outgoing(self, sent: SentRecord) -> Outgoing:
        headers = {}
        if self._options.receipts:
            headers[RECEIPT_HEADER] = self._receipts.subject(sent.number)
        if self._options.token is not None:
            headers["Authorization"] = f"Bearer {self._options.token}"
        return Outgoing(
            self._subjects.full(ingest(sent.letter.kind)),
            sent.letter.body,
            f"{self._run}-{sent.number}-{sent.rounds}" if sent.letter.names_itself else None,
            headers,
            tried=sent.tried,
        )

    def _settle(self, pending: Sequence[SentRecord], outcomes: Sequence[Published]) -> tuple[list[SentRecord], str]:
        """Note what became of each; answers what must be sent again, and why."""
        left: list[SentRecord] = []
        reason = ""
        for sent, published in zip(pending, outcomes, strict=True):
            if published.is_settled or self._was_heard_of(sent):
                # A repetition was stored by an earlier try, and its receipt may have come when nobody listened.
                first = published.outcome is PublishStatus.STORED
                self._stored(sent, over=self._link.generation if first else sent.tried_over)
            elif published.outcome is PublishStatus.REFUSED:
                self._receipts.forget(sent.number)
                self._tally.not_published(Fate.REJECTED, sent.letter.place, published.reason)
            else:
                sent.tried = sent.tried or published.outcome is PublishStatus.UNKNOWN
                left.append(sent)
                reason = reason or _reason(published, self._stream)
        if len(left) < len(pending):
            self._progress()
        return left, reason

    def _was_heard_of(self, sent: SentRecord) -> bool:
        return self._options.receipts and not self._receipts.awaits(sent.number)

    def _stored(self, sent: SentRecord, *, over: int) -> None:
        sent.over = over
        if not sent.rounds:
            self._tally.published += 1
            if not self._options.receipts:
                self._tally.count(Fate.STORED)

    def _give_up(self, pending: Sequence[SentRecord]) -> None:
        """What may be stored keeps waiting for its receipt, in vain or not; the rest was not published."""
        for sent in pending:
            if not sent.over and not (sent.tried and self._options.receipts):
                self._receipts.forget(sent.number)
                self._tally.count(Fate.UNPUBLISHED)

    # -- waiting

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Listen for receipts until the condition holds. Raises :class:`Stalled`."""
        while not condition():
            await self._connected()
            if self._still_s() > _SILENCE_S and (lost := self._receipts.lost_with(self._link.generation)):
                await self._ask_again(lost)
                continue
            if self._still_s() > self._options.stall_s:
                raise Stalled(f"no receipt came for {self._options.stall_s:g} s")
            self._receipts.heard.clear()
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._link.permitted(self._receipts.heard.wait())
            except TimeoutError:
                continue
            except NotPermitted as refused:
                raise Stalled(f"{refused}: no receipt can be heard") from None
            self._progress()

    async def _ask_again(self, lost: Sequence[SentRecord]) -> None:
        self._say(f"the connection was lost: publishing {len(lost):,} records anew to learn what became of them")
        self._tally.asked_again += len(lost)
        for sent in lost:
            sent.rounds += 1
            sent.tried, sent.tried_over = False, 0
        await self._publish(lost)

    async def _connected(self) -> StreamPublisher:
        """A publisher over a connection that is there. Raises :class:`Stalled`."""
        attempt = 0
        while True:
            try:
                client = await self._link.client()
            except Unreachable as error:
                await self._pause(str(error), attempt)
                attempt += 1
                continue
            if self._publisher is None or self._publisher[0] is not client:
                self._publisher = client, StreamPublisher(client)
            return self._publisher[1]

    async def _pause(self, reason: str, attempt: int) -> None:
        if self._still_s() > self._options.stall_s:
            raise Stalled(f"{reason}; given up after {self._options.stall_s:g} s")
        if reason != self._said:
            self._said = reason
            self._say(f"{reason}; waiting")
        await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])

    def _progress(self) -> None:
        self._moved = time.monotonic()
        if self._said:
            self._said = ""
            self._say("going on")

    def _still_s(self) -> float:
        """For how long nothing has moved."""
        return time.monotonic() - self._moved


def _reason(published: Published, stream: str) -> str:
    if published.err_code == _FULL:
        return f"the stream {stream} is full until the daemon has caught up"
    return published.reason
