"""Trimming streams to what is unread, and telling how full they are.

A stream kept by limits does not forget what was acknowledged; one purge up to the acknowledgement floor of its
consumers costs a single synced write, where work-queue retention would cost one for each acknowledgement.

With a purge the server drops what its consumers have in line to be delivered again (of that line it keeps what lies
behind the newest delivered message, which is nothing): what was given back then waits out the acknowledgement time. So
it is better not to purge while there is such a line (:func:`has_redeliveries`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client

from adapters.nats.jetstream_api import api_request, integer, section


@dataclass(frozen=True, slots=True)
class Fullness:
    """How much of a stream is used; ``max_bytes`` is 0 where nothing bounds it."""

    messages: int
    bytes: int
    max_bytes: int

    @property
    def ratio(self) -> float:
        """0 for an empty or unbounded stream, 1 for a full one."""
        return self.bytes / self.max_bytes if self.max_bytes else 0.0


async def fullness(nc: Client, stream: str) -> Fullness:
    """Raises :class:`adapters.errors.JetStreamError` where the stream is absent or JetStream away."""
    info = await api_request(nc, f"STREAM.INFO.{stream}")
    state = section(info, "state")
    return Fullness(
        integer(state, "messages"), integer(state, "bytes"), max(0, integer(section(info, "config"), "max_bytes"))
    )


async def ack_floor(nc: Client, stream: str, consumer: str) -> int:
    """The sequence up to which the consumer has acknowledged (or given up on) every message."""
    return integer(section(await api_request(nc, f"CONSUMER.INFO.{stream}.{consumer}"), "ack_floor"), "stream_seq")


async def has_redeliveries(nc: Client, stream: str, consumer: str) -> bool:
    """Whether messages of the consumer were delivered more than once and are not acknowledged: others may be in line
    behind them. One that the server gave up on counts for as long as it remembers it."""
    return integer(await api_request(nc, f"CONSUMER.INFO.{stream}.{consumer}"), "num_redelivered") > 0


async def trim(nc: Client, stream: str, consumers: Sequence[str], *, advisories: str | None = None) -> int:
    """Purge what all ``consumers`` have acknowledged; answers how many messages went.

    The floor passes messages that the server gave up on, and these must be fetched before they go. So nothing is purged
    while the stream ``advisories`` still holds any; it is looked at after the floor was read, never before.
    """
    upto = min([await ack_floor(nc, stream, consumer) for consumer in consumers]) + 1
    if advisories is not None and (await fullness(nc, advisories)).messages:
        return 0
    first = integer(section(await api_request(nc, f"STREAM.INFO.{stream}"), "state"), "first_seq")
    if upto <= max(1, first):
        return 0
    return integer(await api_request(nc, f"STREAM.PURGE.{stream}", {"seq": upto}), "purged")
