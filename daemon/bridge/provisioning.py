"""What a bridge needs on the server: the daemon's streams, and one consumer for each type of work."""

import asyncio
from typing import Final

import structlog
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo
from nats.js.errors import APIError, NotFoundError

from contracts import subjects as subject_of
from contracts.subjects import Family, Subjects
from contracts.values.work import WorkType
from daemon.errors import StartError

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S: Final = 0.25
_MAX_ACK_PENDING: Final = 10_000


async def wait_for_streams(js: JetStreamContext, subjects: Subjects, timeout_s: float) -> None:
    """Return when the daemon has made the streams; raises :class:`StartError` where it does not within the time."""
    for family in (Family.WORK, Family.CALLBACK):
        name = subjects.stream(family)
        try:
            async with asyncio.timeout(timeout_s):
                while not await _exists(js, name):  # noqa: ASYNC110 - the daemon makes it, in its own time
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError:
            raise StartError(f"bridge: the stream {name} is not there: is the daemon running?") from None


async def _exists(js: JetStreamContext, stream: str) -> bool:
    try:
        await js.stream_info(stream)
    except NotFoundError:
        return False
    except NatsError as error:
        log.warning("stream_not_seen", stream=stream, reason=type(error).__name__)
        return False
    return True


async def ensure_consumer(
    js: JetStreamContext, subjects: Subjects, work_type: WorkType, ack_wait_s: float
) -> ConsumerInfo:
    """The durable consumer of a type of work, made where it is missing.

    A work queue allows one consumer for each subject: one that other workers have made already is shared with them.
    Raises :class:`StartError` for one that cannot be shared, the client's errors where the server is away.
    """
    stream, subject = subjects.stream(Family.WORK), subjects.full(subject_of.work(work_type))
    known = await _consumer_of(js, stream, subject)
    if known is not None:
        if known.config.ack_policy != AckPolicy.EXPLICIT or known.config.deliver_subject is not None:
            raise StartError(f"bridge: the consumer {known.name} of {subject} is no pull consumer with explicit acks")
        return known
    config = ConsumerConfig(
        durable_name=f"worker-{work_type.replace('.', '-')}",
        filter_subject=subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=-1,  # how often work is tried is for the daemon to say
        max_ack_pending=_MAX_ACK_PENDING,
    )
    try:
        return await js.add_consumer(stream, config)
    except APIError as error:
        known = await _consumer_of(js, stream, subject)  # made by another worker at the same moment
        if known is None:
            raise StartError(f"bridge: {subject} can have no consumer: {error.description}") from None
        return known


async def _consumer_of(js: JetStreamContext, stream: str, subject: str) -> ConsumerInfo | None:
    for info in await js.consumers_info(stream):
        if subject in {info.config.filter_subject, *(info.config.filter_subjects or ())}:
            return info
    return None
