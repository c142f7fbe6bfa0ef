"""Who takes work: what the server says of the consumers of a work queue, by subject."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nats.aio.client import Client

from adapters.nats.jetstream_api import Json, api_request, integer, section
from contracts.errors import JsonValue
from contracts.values.times import parse_micros


@dataclass(frozen=True, slots=True)
class Taking:
    """How a subject of a work queue is taken from.

    ``asked`` says that somebody waits for work at this moment, or has taken all that there is; ``active_at`` is when
    the last message was delivered or acknowledged, in microseconds since the epoch.
    """

    asked: bool = False
    active_at: int | None = None


async def takings(nc: Client, stream: str, subjects: Iterable[str]) -> dict[str, Taking]:
    """How each of *subjects* is taken from; one without a consumer is not.

    Raises :class:`adapters.errors.JetStreamError` where the stream is absent or JetStream away.
    """
    consumers = await _consumers(nc, stream)
    return {subject: _taking([each for each in consumers if _takes(each, subject)]) for subject in subjects}


async def _consumers(nc: Client, stream: str) -> list[Json]:
    found: list[Json] = []
    while True:
        page = await api_request(nc, f"CONSUMER.LIST.{stream}", {"offset": len(found)})
        listed = page.get("consumers")
        consumers = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        found += consumers
        if not consumers or len(found) >= integer(page, "total"):
            return found


def _takes(consumer: Json, subject: str) -> bool:
    config = section(consumer, "config")
    several = config.get("filter_subjects")
    filters: Sequence[JsonValue] = several if isinstance(several, list) and several else [config.get("filter_subject")]
    return any(not each or subject_matches(str(each), subject) for each in filters)


def subject_matches(pattern: str, subject: str) -> bool:
    """Whether a literal subject is one of those that a pattern with ``*`` and ``>`` stands for."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in ("*", given[index]):
            return False
    return len(wanted) == len(given)


def _taking(consumers: Sequence[Json]) -> Taking:
    moments = [moment for each in consumers for moment in _moments(each)]
    return Taking(any(map(_asked, consumers)), max(moments, default=None))


def _asked(consumer: Json) -> bool:
    return (
        integer(consumer, "num_waiting") > 0
        or consumer.get("push_bound") is True
        or integer(consumer, "num_pending") == 0
    )


def _moments(consumer: Json) -> list[int]:
    told = (section(consumer, key).get("last_active") for key in ("delivered", "ack_floor"))
    return [parse_micros(moment) for moment in told if isinstance(moment, str)]
