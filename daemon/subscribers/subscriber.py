"""Handlers on durable consumers of their own, pushed by the server to one daemon at a time.

A handler is a function of the message: it answers None where the message is done with, and otherwise after how many
seconds it should come again. Acknowledging is the frame's part, and it is explicit: what a handler did not live to
answer for comes again after the consumer's ``ack_wait``. So every handler is safe to repeat.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker
from faststream.nats.annotations import NatsMessage
from nats.errors import ConnectionClosedError, ConnectionDrainingError, NoRespondersError
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy as AckPolicyOfServer
from nats.js.api import ConsumerConfig

from adapters.nats.jetstream_api import integer, understood
from adapters.nats.streams.topology import Consumer
from daemon.observability.metrics import Metrics
from storage.engine.failures import StorageError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A message, and how often it was delivered, this time included."""

    body: bytes
    delivered: int = 1


Handle: TypeAlias = Callable[[Received], Awaitable[float | None]]

_AWAY_S: Final = 5.0
_BROKEN_S: Final = 60.0
_START_AGAIN_S: Final = 2.0
_LAST_WORDS_S: Final = 5.0
_ACK_TRIES: Final = 10
_ACK_ANSWERED_S: Final = 2.0
_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A consumer that the server pushes, and the handler of its messages."""

    consumer: Consumer
    handle: Handle
    about: str


class LowRateSubscribers:
    """Registers subscribers with the broker and keeps them subscribed until cancelled."""

    def __init__(
        self,
        broker: NatsBroker,
        subscribers: Sequence[Subscriber],
        metrics: Metrics,
        *,
        closed_last: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._broker = broker
        self._closed_last = closed_last
        self._metrics = metrics
        for subscriber in subscribers:
            self._register(subscriber)

    def _register(self, subscriber: Subscriber) -> None:
        consumer, handle = subscriber.consumer, subscriber.handle

        async def take(message: NatsMessage) -> None:
            received = _received(message)
            if received is None:
                self._metrics.forged.labels(consumer.stream).inc()
                return
            again_s = await self._handled(consumer.name, handle, received)
            if again_s is None:
                await _acknowledge(message)
            else:
                await message.nack(delay=again_s)

        self._broker.subscriber(
            _patterns(consumer)[0],
            queue=str(consumer.config["deliver_group"]),
            stream=JStream(consumer.stream, declare=False),
            config=_config(consumer),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            title=consumer.name,
            description=subscriber.about,
        )(take)

    async def _handled(self, name: str, handle: Handle, received: Received) -> float | None:
        """What the handler says; whatever it raises, the message comes again."""
        try:
            return await handle(received)
        except StorageError as error:
            log.warning("subscriber_waits", subscriber=name, reason=str(error))
            return _AWAY_S
        except Exception:  # one message must not end what others wait for
            log.exception("subscriber_broke", subscriber=name)
            self._metrics.loop_failures.labels(name).inc()
            return _BROKEN_S

    async def run(self) -> None:
        """Subscribe, and stay so until cancelled."""
        while True:
            try:
                await understood(self._broker.start())
                break
            except (NatsError, OSError) as error:
                log.warning("subscribers_not_started", reason=str(error) or type(error).__name__)
                await anyio.sleep(_START_AGAIN_S)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_WORDS_S):
                for subscriber in self._broker.subscribers:
                    await self._stop(subscriber.stop)
                for close in self._closed_last:
                    await close()

    async def _stop(self, stop: Callable[[], Awaitable[None]]) -> None:
        try:
            await stop()
        except (NatsError, OSError) as error:
            log.warning("subscriber_not_stopped", reason=str(error) or type(error).__name__)


async def _acknowledge(message: NatsMessage) -> None:
    """Until the server says that it knows: an acknowledgement that is lost with a connection would hold back those
    after it, where they go one by one, until the message comes again."""
    for _ in range(_ACK_TRIES):
        try:
            await message.raw_message.ack_sync(timeout=_ACK_ANSWERED_S)
        except (ConnectionClosedError, ConnectionDrainingError):
            return
        except NoRespondersError:  # a server that has just started does not serve its consumers yet
            await anyio.sleep(_ACK_ANSWERED_S)
        except (NatsError, OSError):
            continue
        else:
            return


def _config(consumer: Consumer) -> ConsumerConfig:
    """The consumer as the frame makes it where it is not there when it subscribes: the same as we make it."""
    config = consumer.config
    return ConsumerConfig(
        name=consumer.name,
        durable_name=consumer.name,
        filter_subjects=_patterns(consumer),
        deliver_subject=str(config["deliver_subject"]),
        deliver_group=str(config["deliver_group"]),
        ack_policy=AckPolicyOfServer.EXPLICIT,
        ack_wait=integer(config, "ack_wait") / _NANO,
        max_deliver=integer(config, "max_deliver"),
        max_ack_pending=integer(config, "max_ack_pending"),
    )


def _patterns(consumer: Consumer) -> list[str]:
    patterns = consumer.config["filter_subjects"]
    return [str(pattern) for pattern in patterns] if isinstance(patterns, list) else []


def _received(message: NatsMessage) -> Received | None:
    """What the consumer brought; None for what somebody else published to where it brings it."""
    try:
        return Received(bytes(message.body), int(message.raw_message.metadata.num_delivered))
    except (NatsError, ValueError):
        return None
