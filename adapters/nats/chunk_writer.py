"""Publishing the chunks of one object: in their order, a few on the wire at once, each answered by the stream.

One request at a time would wait for a flush to disk between any two chunks. Here the next ones travel meanwhile; they
are published by one coroutine, so the stream has them in their order.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

import anyio
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from adapters.errors import ObjectStoreError

_AT_ONCE: Final = 4
_ANSWER_S: Final = 30.0
_LAST_ANSWERS_S: Final = 5.0


class ChunkWriter:
    """Writes to one subject for the length of a block. *slots* are shared by all writers."""

    def __init__(self, nc: Client, bucket: str, subject: str, slots: asyncio.Semaphore) -> None:
        self._nc = nc
        self._bucket = bucket
        self._subject = subject
        self._slots = slots
        self._own = asyncio.Semaphore(_AT_ONCE)
        self._inbox = nc.new_inbox()
        self._answers: Subscription | None = None
        self._waiting = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self._refused: str | None = None

    async def __aenter__(self) -> Self:
        try:
            self._answers = await self._nc.subscribe(self._inbox, cb=self._answered)
        except NatsError as error:
            raise self._error(type(error).__name__) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting:
            # Whoever removes what was written waits for what is on the wire: it would come after the removal, and stay.
            with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_ANSWERS_S):
                await self._settled.wait()
        for _ in range(self._waiting):  # nobody hears their answers any more
            self._slots.release()
        self._waiting = 0
        if self._answers is not None:
            answers, self._answers = self._answers, None
            try:
                await answers.unsubscribe()
            except NatsError:
                return  # the connection is gone, and the subscription with it

    async def send(self, chunk: bytes) -> None:
        """Publish the next chunk, once there is room for it. Raises :class:`ObjectStoreError`."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._own.acquire()
                await self._slots.acquire()
            if self._refused is not None:
                self._slots.release()
                raise self._error(self._refused)
            self._waiting += 1
            self._settled.clear()
            await self._nc.publish(self._subject, chunk, reply=self._inbox)
        except TimeoutError:
            raise self._error("no answer") from None
        except NatsError as error:
            raise self._error(type(error).__name__) from error

    async def settle(self) -> None:
        """Return when every chunk is stored. Raises :class:`ObjectStoreError` where one is not."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._settled.wait()
        except TimeoutError:
            raise self._error("no answer") from None
        if self._refused is not None:
            raise self._error(self._refused)

    async def _answered(self, message: Msg) -> None:
        if self._answers is None:
            return
        self._refused = self._refused or _refusal(message)
        self._waiting -= 1
        self._slots.release()
        self._own.release()
        if not self._waiting:
            self._settled.set()

    def _error(self, reason: str) -> ObjectStoreError:
        return ObjectStoreError(f"{self._bucket}: the object could not be written: {reason}")


def _refusal(message: Msg) -> str | None:
    """Why the stream did not take a chunk; None where it did."""
    try:
        answer = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        return "no stream answered"  # an empty answer says that nobody listens
    error = answer.get("error")
    return None if error is None else str(error.get("description", "refused"))
