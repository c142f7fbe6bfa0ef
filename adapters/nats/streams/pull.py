"""The continuous pull: messages of a durable consumer, handed out in batches while the next are on the wire.

One inbox subscription (:class:`Reception`) receives what several overlapping pull requests ask for. A new request is
made whenever messages owed by the server and messages buffered here fall below half of the window together, so that a
buffer that nobody takes from is the back-pressure. A request that got lost is noticed by silence (the server sends
heartbeats) or by a reconnect, and the window is asked for anew. Messages that wait in the buffer are kept from
expiring, even in a pause.

The window is the limit, in messages and in bytes. A message that is larger than what a request may bring is asked for
alone, and of those one is in hand at a time, whichever pulls share the :class:`LargeTurn`.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import orjson
import structlog
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, ConnectionDrainingError
from nats.errors import Error as NatsError

from adapters.cancellation import cancel_and_wait
from adapters.errors import AdapterError, ConsumerGoneError, JetStreamError
from adapters.nats.acks import Acks
from adapters.nats.jetstream_api import NOT_FOUND, api_request
from adapters.nats.streams.large_turn import LargeTurn
from adapters.nats.streams.reception import Reception
from adapters.nats.streams.window import Verdict, Window
from contracts.gate.delivery import Delivery, weight

Recreate = Callable[[], Awaitable[None]]

WINDOW: Final = 4000
REQUEST_BYTES: Final = 1024 * 1024
_ENVELOPE_BYTES: Final = 64 * 1024
"""What the server counts of a message beside body and headers: its subjects."""
_LARGE_EXPIRES_S: Final = 2.0
"""How long a turn waits for a large message that another daemon may have taken meanwhile."""
_TICK_S: Final = 0.25
_NANO: Final = 1_000_000_000

log = structlog.get_logger(__name__)


class ContinuousPull:
    """Pulls one durable consumer of one stream, from :meth:`start` to :meth:`drain`.

    ``ack_wait_s`` is the consumer's. ``recreate`` is awaited when the consumer was deleted; without it, :meth:`take`
    raises :class:`ConsumerGoneError`. ``clock`` is monotonic, in seconds. One task takes; any may answer.
    """

    def __init__(
        self,
        nc: Client,
        *,
        stream: str,
        consumer: str,
        prefix: str,
        window: int = WINDOW,
        request_bytes: int = REQUEST_BYTES,
        large: LargeTurn | None = None,
        on_forged: Callable[[], None] = lambda: None,
        ack_wait_s: float = 60.0,
        expires_s: float = 30.0,
        heartbeat_s: float = 5.0,
        recreate: Recreate | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream: Final = stream
        self.consumer: Final = consumer
        self._nc = nc
        self._touch_every_s = ack_wait_s / 3
        self._recreate = recreate
        self._clock = clock
        self._request_to = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._acks = Acks(nc)
        self._window = Window(window, request_bytes, expires_s=expires_s, heartbeat_s=heartbeat_s, now=clock())

        self._large = large or LargeTurn()
        self._large_is_asked = False
        self._large_in_hand: str | None = None

        self._buffer: deque[Delivery] = deque()
        self._taken = 0
        self._touched_at = clock()
        self._arrived_at_touch = 0
        self._reconnects = 0

        self._reception = Reception(
            nc, consumer, prefix, on_delivery=self._keep, on_status=self._told, on_forged=on_forged
        )
        self._tender: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._due = asyncio.Event()
        self._paused = False
        self._stopped = False
        self._suspect_gone = False
        self._failure: AdapterError | None = None

    @property
    def connection(self) -> Client:
        return self._nc

    @property
    def buffered(self) -> int:
        """Messages that were delivered here and not yet handed out."""
        return len(self._buffer)

    @property
    def owed(self) -> int:
        """Messages that the open requests still allow the server to send."""
        return max(0, self._window.owed)

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def healthy(self) -> bool:
        """Whether the server answers this pull: its consumer exists and what is asked for is not met by silence."""
        return (
            self._failure is None
            and not self._suspect_gone
            and self._nc.is_connected
            and not self._window.is_lost(self._clock())
        )

    async def start(self) -> None:
        """Subscribe and begin to ask for messages."""
        self._reconnects = self._nc.stats["reconnects"]
        await self._subscribe()
        self._tender = asyncio.create_task(self._tend(), name=f"pull-{self.consumer}")
        self._tender.add_done_callback(self._tender_ended)

    # -- taking

    async def take(self, limit: int) -> list[Delivery]:
        """Wait for at least one message, then hand out what is here, at most ``limit``; empty only once stopped.

        Raises :class:`ConsumerGoneError` (or another :class:`AdapterError`) where the pull cannot go on.
        """
        while not self._stopped:
            if self._buffer and not self._paused:
                return self.take_nowait(limit)
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()
        return []

    def take_nowait(self, limit: int) -> list[Delivery]:
        """Hand out what is here, at most ``limit``, perhaps nothing."""
        buffer = self._buffer
        if self._paused or not buffer:
            return []
        if len(buffer) <= limit:
            taken = list(buffer)
            buffer.clear()
        else:
            taken = [buffer.popleft() for _ in range(limit)]
        self._taken += len(taken)
        if self._window.room(len(buffer)):
            self._due.set()
        return taken

    # -- answering: see Acks

    async def ack(self, deliveries: Iterable[Delivery]) -> int:
        """Acknowledge; answers how many acknowledgements were handed to the connection."""
        answered = list(deliveries)
        sent = await self._acks.ack(answered)
        if self._large_in_hand is not None:
            self._large_answered(answered)
        return sent

    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool:
        """Return a message to the stream, to be delivered again after ``delay_s``."""
        sent = await self._acks.give_back(delivery, delay_s)
        self._large_answered([delivery])
        return sent

    async def in_progress(self, delivery: Delivery) -> bool:
        """Say that the message is still being worked on: its acknowledgement time starts anew."""
        return await self._acks.in_progress(delivery)

    async def term(self, delivery: Delivery, reason: str) -> bool:
        """Never deliver the message again; ``reason`` shows in the server's advisory."""
        sent = await self._acks.term(delivery, reason)
        self._large_answered([delivery])
        return sent

    def _large_answered(self, deliveries: Iterable[Delivery]) -> None:
        if any(delivery.ack_to == self._large_in_hand for delivery in deliveries):
            self._end_large()

    # -- pausing and stopping

    async def pause(self) -> None:
        """Neither ask for messages nor hand them out. What is buffered is kept, and kept from expiring, so that a long
        pause uses up no delivery."""
        if self._paused or self._stopped:
            return
        self._paused = True
        await self._reception.close()

    async def resume(self) -> None:
        """Go on after :meth:`pause`."""
        if not self._paused or self._stopped:
            return
        await self._subscribe()
        self._paused = False
        self._wake.set()
        self._due.set()

    async def drain(self) -> int:
        """Stop for good: ask for nothing more and give back what was not handed out; answers how many were given back.

        What was taken stays with its taker, who may still acknowledge it. Draining twice is fine.
        """
        self._stopped = True
        self._wake.set()
        if self._tender is not None:
            await cancel_and_wait([self._tender])
            self._tender = None
        await self._reception.close()
        given_back = 0
        while self._buffer and await self._acks.give_back(self._buffer.popleft()):
            given_back += 1
        self._buffer.clear()
        self._end_large()
        return given_back

    # -- what arrives

    async def _subscribe(self) -> None:
        self._window.forget(self._clock())
        await self._reception.open()

    def _told(self, headers: Mapping[str, str]) -> None:
        """The server speaks of a request instead of bringing a message."""
        verdict = self._window.status(headers, self._arrived(), self._clock())
        if self._large_is_asked and verdict is not Verdict.ALIVE:
            self._end_large()
        if verdict is Verdict.SUSPECT:
            self._suspect_gone = True
        self._due.set()

    def _keep(self, came: Delivery) -> None:
        self._window.owed -= 1
        self._buffer.append(came)
        if self._large_is_asked:
            self._large_is_asked = False
            self._large_in_hand = came.ack_to
            self._window.large_came()
        self._wake.set()

    def _fail(self, why: str) -> None:
        self._failure = AdapterError(f"{self.stream}: the pull of {self.consumer} {why}")
        self._wake.set()

    # -- the tending task

    async def _tend(self) -> None:
        """Ask for messages when there is room, notice lost requests, keep what waits alive."""
        while self._failure is None:
            self._due.clear()
            try:
                await self._tend_once()
            except (ConnectionClosedError, ConnectionDrainingError) as error:
                self._fail(f"lost its connection for good: {error}")
            except NatsError as error:
                log.warning("pull_request_failed", consumer=self.consumer, reason=str(error))
                self._window.back_off(self._clock())
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._due.wait()
            except TimeoutError:
                continue

    def _tender_ended(self, tender: "asyncio.Task[None]") -> None:
        if not tender.cancelled() and (error := tender.exception()) is not None:
            self._fail(f"broke: {error!r}")

    async def _tend_once(self) -> None:
        if self._nc.is_closed:
            raise ConnectionClosedError
        if not self._nc.is_connected:
            self._window.forget(self._clock())
            return
        if self._reception.was_heard():
            self._window.heard(self._clock())
        reconnects = self._nc.stats["reconnects"]
        if reconnects != self._reconnects or self._window.is_lost(self._clock()):
            self._reconnects = reconnects
            self._window.forget(self._clock())
            if self._large_is_asked:
                self._end_large()
        await self._touch()
        if self._paused or not self._window.may_ask(self._clock()):
            return
        if self._suspect_gone:
            await self._check_consumer()
        elif self._window.needs_large:
            await self._ask_for_large()
        else:
            await self._refill()

    async def _refill(self) -> None:
        room = self._window.room(len(self._buffer))
        if room and sum(map(weight, self._buffer)) <= self._window.request_bytes:
            await self._ask(room, self._window.request_bytes, expires_s=self._window.expires_s)

    async def _ask_for_large(self) -> None:
        """Ask for the one message that no request could bring, once nothing else is here and it is this pull's turn."""
        is_busy = self._large_is_asked or self._large_in_hand is not None or self._buffer
        if not is_busy and self._large.take(self, self._due):
            self._large_is_asked = True
            await self._ask(1, self._nc.max_payload + _ENVELOPE_BYTES, expires_s=_LARGE_EXPIRES_S)

    def _end_large(self) -> None:
        if self._large_is_asked:
            self._large_is_asked = False
            self._window.large_came()
        self._large_in_hand = None
        self._large.give(self)
        self._due.set()

    async def _ask(self, messages: int, most_bytes: int, *, expires_s: float) -> None:
        request = {
            "batch": messages,
            "expires": round(expires_s * _NANO),
            "idle_heartbeat": round(min(self._window.heartbeat_s, expires_s / 2) * _NANO),
            "max_bytes": most_bytes,
        }
        self._window.asked(messages, self._clock())
        await self._nc.publish(self._request_to, orjson.dumps(request), reply=self._reception.inbox)

    async def _check_consumer(self) -> None:
        """The server said that nobody serves the consumer: it is gone, or JetStream itself is away for a while."""
        try:
            await api_request(self._nc, f"CONSUMER.INFO.{self.stream}.{self.consumer}")
        except JetStreamError as error:
            if error.code == NOT_FOUND:
                await self._restore_consumer()
            else:
                self._window.back_off(self._clock())
        else:
            self._suspect_gone = False
            self._due.set()

    async def _restore_consumer(self) -> None:
        if self._recreate is None:
            self._failure = ConsumerGoneError(f"{self.stream}: the consumer {self.consumer} does not exist any more")
            self._wake.set()
            return
        log.error("consumer_gone", stream=self.stream, consumer=self.consumer)
        try:
            await self._recreate()
        except (AdapterError, TimeoutError) as error:
            log.warning("consumer_not_recreated", consumer=self.consumer, reason=str(error))
            self._window.back_off(self._clock())
        else:
            self._suspect_gone = False
            self._due.set()

    def _arrived(self) -> int:
        return self._taken + len(self._buffer)

    async def _touch(self) -> None:
        """Renew the acknowledgement time of messages that were in the buffer already when this was last done."""
        now = self._clock()
        if now - self._touched_at < self._touch_every_s:
            return
        waiting = max(0, self._arrived_at_touch - self._taken)
        self._touched_at = now
        self._arrived_at_touch = self._arrived()
        for delivery in list(itertools.islice(self._buffer, waiting)):
            await self._acks.in_progress(delivery)
