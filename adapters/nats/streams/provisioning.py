"""Bringing the server to what the daemon needs: create what is missing, update what differs, refuse what cannot change.

Several daemons may do this at once. What the daemon has no opinion on (descriptions, placement, compression, a paused
consumer) stays as an operator has set it.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Final, TypeVar

import structlog
from nats.aio.client import Client

from adapters.errors import IncompatibleStreamsError, JetStreamError
from adapters.nats.jetstream_api import NOT_FOUND, Json, api_request, section
from adapters.nats.streams.topology import Consumer, Stream, Topology
from contracts.errors import JsonValue

_ATTEMPTS: Final = 5
_NAME_IN_USE: Final = 10058
_QUEUE_OVERLAPS: Final = 10100
# The server lets some of these be changed, but a change would drop messages or redefine what a stream is.
_STREAM_FIXED: Final = ("storage", "retention")
_STREAM_FORBIDDEN: Final = ("mirror", "sources", "sealed", "no_ack", "subject_transform", "discard_new_per_subject")
_CONSUMER_FIXED: Final = ("ack_policy", "deliver_policy", "replay_policy")
_CONSUMER_FORBIDDEN: Final = ("deliver_subject", "deliver_group", "priority_policy", "mem_storage")
# What an update leaves out, it removes: none of these may stand between a stream and its daemon.
_CONSUMER_REMOVED: Final = ("filter_subject", "filter_subjects", "backoff", "headers_only", "rate_limit_bps")

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def provision(nc: Client, wanted: Topology) -> None:
    """Create or update all streams and consumers.

    Raises :class:`IncompatibleStreamsError` that names every difference, before anything is changed, and
    :class:`JetStreamError` where the server refuses or does not answer.
    """
    looks = [
        *(_stream_differences(nc, stream) for stream in wanted.streams),
        *(_consumer_differences(nc, consumer) for consumer in wanted.consumers),
    ]
    differences = [difference for found in await _all(looks) for difference in found]
    if differences:
        raise IncompatibleStreamsError(differences)
    await _all(ensure_stream(nc, stream) for stream in wanted.streams)
    await _all(_ensure(nc, consumer) for consumer in wanted.consumers)


async def _all(requests: Iterable[Awaitable[T]]) -> list[T]:
    """All at once: each alone waits for the server, and the start of the daemon for all of them. One that fails is
    raised when all have ended, so that whoever tries again meets none of them on its way."""
    done: list[T] = []
    for answer in await asyncio.gather(*requests, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        done.append(answer)
    return done


async def _ensure(nc: Client, consumer: Consumer) -> None:
    if not consumer.shares_queue:
        await ensure_consumer(nc, consumer)
    elif in_the_way := await ensure_work_consumer(nc, consumer):
        log.warning("work_consumer_in_the_way", consumer=consumer.name, reason=in_the_way)


async def ensure_stream(nc: Client, wanted: Stream) -> None:
    """Create the stream, or update what differs."""
    for attempt in range(1, _ATTEMPTS + 1):
        existing = await _existing(nc, f"STREAM.INFO.{wanted.name}")
        if existing is None:
            try:
                await api_request(nc, f"STREAM.CREATE.{wanted.name}", wanted.config)
            except JetStreamError as error:
                if error.err_code == _NAME_IN_USE and attempt < _ATTEMPTS:
                    continue  # another daemon was first: see whether it made what we want
                raise
            log.info("stream_created", stream=wanted.name)
        elif changed := _changed(existing, wanted.config):
            await api_request(nc, f"STREAM.UPDATE.{wanted.name}", {**existing, **wanted.config})
            log.info("stream_updated", stream=wanted.name, changed=changed)
        return


async def ensure_consumer(nc: Client, wanted: Consumer) -> None:
    """Create the consumer, or update what differs. The same request does both, so that daemons cannot collide."""
    existing = await _existing(nc, f"CONSUMER.INFO.{wanted.stream}.{wanted.name}") or {}
    removed = [key for key in _CONSUMER_REMOVED if existing.get(key) and key not in wanted.config]
    changed = _changed(existing, wanted.config) + removed
    if not changed:
        return
    kept = {key: value for key, value in existing.items() if key not in _CONSUMER_REMOVED}
    body: Json = {"stream_name": wanted.stream, "config": {**kept, **wanted.config}}
    await api_request(nc, f"CONSUMER.CREATE.{wanted.stream}.{wanted.name}", body)
    log.info("consumer_provisioned", stream=wanted.stream, consumer=wanted.name, changed=changed)


async def ensure_work_consumer(nc: Client, wanted: Consumer) -> str | None:
    """:func:`ensure_consumer`, unless another consumer takes the same work: then what is in the way, as a sentence.

    It may belong to workers that run, so it is theirs to remove; until then they take the work as before.
    """
    try:
        await ensure_consumer(nc, wanted)
    except JetStreamError as error:
        if error.err_code != _QUEUE_OVERLAPS:
            raise
        return f"another consumer takes {wanted.config['filter_subject']}: bind its workers to {wanted.name}, remove it"
    return None


async def _stream_differences(nc: Client, wanted: Stream) -> list[str]:
    existing = await _existing(nc, f"STREAM.INFO.{wanted.name}")
    if existing is None:
        return []
    name = wanted.name
    differences = [_must_be(name, key, existing, wanted.config) for key in _differing(existing, wanted, _STREAM_FIXED)]
    foreign = sorted(set(_strings(existing.get("subjects"))) - set(_strings(wanted.config["subjects"])))
    if foreign:
        differences.append(f"{name}: listens to {', '.join(foreign)} too, must not")
    return differences + [
        f"{name}: {key} is set, must not be" for key in (*_STREAM_FORBIDDEN, *wanted.refused) if existing.get(key)
    ]


async def _consumer_differences(nc: Client, wanted: Consumer) -> list[str]:
    existing = await _existing(nc, f"CONSUMER.INFO.{wanted.stream}.{wanted.name}")
    if existing is None:
        return []
    name = f"{wanted.stream}/{wanted.name}"
    differing = _differing(existing, wanted, _CONSUMER_FIXED)
    forbidden = [key for key in _CONSUMER_FORBIDDEN if key not in wanted.config]
    return [_must_be(name, key, existing, wanted.config) for key in differing] + [
        f"{name}: {key} is set, must not be" for key in forbidden if existing.get(key)
    ]


async def _existing(nc: Client, call: str) -> Json | None:
    """The configuration of a stream or consumer that there is."""
    try:
        return section(await api_request(nc, call), "config")
    except JetStreamError as error:
        if error.code == NOT_FOUND:
            return None
        raise


def _changed(existing: Json, wanted: Json) -> list[str]:
    return [key for key, value in wanted.items() if _normal(existing.get(key)) != _normal(value)]


def _differing(existing: Json, wanted: Stream | Consumer, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if existing.get(key) != wanted.config[key]]


def _must_be(name: str, key: str, existing: Json, wanted: Json) -> str:
    return f"{name}: {key} is {existing.get(key)}, must be {wanted[key]}"


def _normal(value: JsonValue) -> JsonValue:
    """The server leaves out what is false or zero, and keeps subjects in an order of its own."""
    if isinstance(value, list):
        return sorted(_strings(value))  # type: ignore[return-value]  # a list of strings is a JSON value
    return value or None


def _strings(value: JsonValue) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
