"""Giving back what a dead process held, so that it need not wait out the acknowledgement time.

The server takes an answer from any connection, for any sequence that is outstanding; what is not outstanding any more
it passes over. An acknowledgement subject need therefore not be the one that came with the delivery: the sequence in
the stream says which message is meant, and the sequence of the consumer must only be one that was used.
"""

from collections.abc import Set as AbstractSet
from typing import Final

from nats.aio.client import Client

from adapters.nats.acks import ACK_PREFIX
from adapters.nats.jetstream_api import api_request, integer, section

_NANO: Final = 1_000_000_000
_MOST: Final = 100_000
"""How far back is looked: one message that stays unacknowledged for long keeps the floor below many that are done."""


class Outstanding:
    """The messages of one consumer that were delivered and may not be acknowledged: sequences *floor* + 1 to *last*."""

    def __init__(self, nc: Client, stream: str, consumer: str, floor: int, last: int, used: int) -> None:
        self._nc = nc
        self._subject = f"{ACK_PREFIX}{stream}.{consumer}.1.%d.{used}.0.0"
        self.floor: Final = floor
        self.last: Final = last

    async def give_back(self, first: AbstractSet[int], *, rest_after_s: float) -> int:
        """Have *first* delivered again at once and all others *rest_after_s* later; answers how many sequences were
        named. What another process holds and acknowledges within that time it does not get twice."""
        publish = self._nc.publish
        delay_ns = round(rest_after_s * _NANO)
        later = b'-NAK {"delay": %d}' % delay_ns if delay_ns > 0 else b"-NAK"
        for sequence in sorted(first):
            await publish(self._subject % sequence, b"-NAK")
        others = [each for each in range(max(self.floor, self.last - _MOST) + 1, self.last + 1) if each not in first]
        for sequence in others:
            await publish(self._subject % sequence, later)
        return len(first) + len(others)


async def outstanding(nc: Client, stream: str, consumer: str) -> Outstanding:
    """Raises :class:`adapters.errors.JetStreamError` where the consumer is absent or JetStream away."""
    info = await api_request(nc, f"CONSUMER.INFO.{stream}.{consumer}")
    floor, delivered = section(info, "ack_floor"), section(info, "delivered")
    return Outstanding(
        nc,
        stream,
        consumer,
        integer(floor, "stream_seq"),
        integer(delivered, "stream_seq"),
        integer(delivered, "consumer_seq"),
    )
