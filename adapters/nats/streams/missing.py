"""Which of the daemon's own objects at the broker are not there."""

import asyncio

from nats.aio.client import Client

from adapters.errors import JetStreamError
from adapters.nats.jetstream_api import NOT_FOUND, api_request, integer
from adapters.nats.streams.topology import Topology


async def missing_objects(nc: Client, wanted: Topology) -> tuple[str, ...]:
    """The names of streams (buckets are streams) and of consumers (``stream/consumer``) that do not exist.

    Raises :class:`JetStreamError` where the server does not say.
    """
    streams = await _names(nc, "STREAM.NAMES", "streams")
    missing = [stream.name for stream in wanted.streams if stream.name not in streams]
    holders = sorted({consumer.stream for consumer in wanted.consumers} & streams)
    listed = await asyncio.gather(*(_names(nc, f"CONSUMER.NAMES.{holder}", "consumers") for holder in holders))
    there = {(holder, name) for holder, names in zip(holders, listed, strict=True) for name in names}
    missing += [
        f"{consumer.stream}/{consumer.name}"
        for consumer in wanted.consumers
        # Where somebody else's consumer stands in the way of one for workers, that is no loss.
        if not consumer.shares_queue and consumer.stream in streams and (consumer.stream, consumer.name) not in there
    ]
    return tuple(missing)


async def _names(nc: Client, call: str, key: str) -> set[str]:
    """All names that a listing has, page by page; none where what is listed is gone meanwhile."""
    found: set[str] = set()
    while True:
        try:
            page = await api_request(nc, call, {"offset": len(found)})
        except JetStreamError as error:
            if error.code == NOT_FOUND:
                return set()
            raise
        names = page.get(key)
        listed = {str(name) for name in names} if isinstance(names, list) else set()
        found |= listed
        if not listed or len(found) >= integer(page, "total"):
            return found
