"""How the messages of a pull arrive: one inbox subscription after another, read as deliveries.

The client library drops messages above its own queue limits, so those limits are off: what a pull asks for is the
limit.
"""

from collections.abc import Callable, Mapping
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from adapters.nats.acks import ACK_PREFIX, delivery_of, read_delivery
from adapters.nats.direct_parser import Receiver, end_directly, receive_directly
from adapters.nats.lenient_decoding import headers_of
from contracts.gate.delivery import Delivery

_MOST_SUBJECTS: Final = 256
_ACK_PREFIX_BYTES: Final = ACK_PREFIX.encode()

log = structlog.get_logger(__name__)


class Reception:
    """Hands over what arrives for *consumer*: deliveries, and the headers of what the server says of a request. What
    only looks like a delivery is passed over, and *on_forged* hears of it."""

    def __init__(
        self,
        nc: Client,
        consumer: str,
        prefix: str,
        *,
        on_delivery: Callable[[Delivery], None],
        on_status: Callable[[Mapping[str, str]], None],
        on_forged: Callable[[], None],
    ) -> None:
        self._nc = nc
        self._consumer = consumer
        self._strip = len(prefix) + 1 if prefix else 0
        self._on_delivery = on_delivery
        self._on_status = on_status
        self._on_forged = on_forged
        self._subjects: dict[bytes, str] = {}
        self._heard = False
        self._subscription: Subscription | None = None
        self.inbox = ""

    def was_heard(self) -> bool:
        """Whether anything has arrived since this was last asked."""
        heard, self._heard = self._heard, False
        return heard

    async def open(self) -> None:
        """Subscribe anew. Each subscription has an inbox of its own: requests of an earlier one cannot reach it."""
        self.inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(
            self.inbox, cb=self._receive, pending_msgs_limit=0, pending_bytes_limit=0
        )
        receive_directly(self._nc, self._subscription, Receiver(self._receive_directly, self._receive))

    async def close(self) -> None:
        """End the subscription, once what is on the wire has arrived."""
        subscription, self._subscription = self._subscription, None
        if subscription is None or self._nc.is_closed:
            return
        try:
            if self._nc.is_connected:
                await subscription.drain()  # type: ignore[no-untyped-call]  # the library does not say what it answers
            else:
                await subscription.unsubscribe()
        except (NatsError, TimeoutError) as error:
            log.warning("unsubscribe_failed", consumer=self._consumer, reason=str(error))
        finally:
            end_directly(self._nc, subscription)

    def _receive_directly(self, subject: bytes, reply: bytes, headers: bytes, body: bytes) -> bool:
        """Runs for nearly every message: whatever can be counted later is not counted here. False for what is no plain
        delivery."""
        read = headers_of(headers) if reply.startswith(_ACK_PREFIX_BYTES) else None
        if read is None:
            return False
        self._heard = True
        try:
            came = read_delivery(self._subject(subject), reply.decode(errors="replace"), read, len(headers), body)
        except ValueError:
            self._forged()
        else:
            self._on_delivery(came)
        return True

    def _subject(self, subject: bytes) -> str:
        """Without the prefix; most messages of a stream have one of a few."""
        known = self._subjects.get(subject)
        if known is None:
            known = subject.decode(errors="replace")[self._strip :]
            if len(self._subjects) < _MOST_SUBJECTS:
                self._subjects[subject] = known
        return known

    async def _receive(self, message: Msg) -> None:
        self._heard = True
        if message.reply.startswith(ACK_PREFIX):
            try:
                came = delivery_of(message, self._strip)
            except ValueError:
                self._forged()
            else:
                self._on_delivery(came)
        elif message.headers is not None:
            self._on_status(message.headers)

    def _forged(self) -> None:
        self._on_forged()
        log.warning("delivery_forged", consumer=self._consumer)
