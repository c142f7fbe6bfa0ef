"""What a bridge needs on the server, all of it the daemon's: streams, and a consumer for each type of work."""

import asyncio
from typing import Final

import anyio
import structlog
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy
from nats.js.errors import NotFoundError

from adapters.nats.jetstream_api import understood
from contracts import subjects as subject_of
from contracts.subjects import Family, Subjects
from contracts.values.work import WorkType
from daemon.errors import StartError

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S: Final = 0.25


async def wait_for_streams(js: JetStreamContext, subjects: Subjects, timeout_s: float) -> None:
    """Return when the daemon has made the streams; raises :class:`StartError` where it does not within the time."""
    for family in (Family.WORK, Family.CALLBACK):
        name = subjects.stream(family)
        try:
            with anyio.fail_after(timeout_s):
                while not await _exists(js, name):  # noqa: ASYNC110 - the daemon makes it, in its own time
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError:
            raise StartError(f"bridge: the stream {name} is not there: is the daemon running?") from None


async def _exists(js: JetStreamContext, stream: str) -> bool:
    try:
        await understood(js.stream_info(stream))
    except NotFoundError:
        return False
    except NatsError as error:
        log.warning("stream_not_seen", stream=stream, reason=type(error).__name__)
        return False
    return True


async def wait_for_consumer(js: JetStreamContext, subjects: Subjects, work_type: WorkType, timeout_s: float) -> str:
    """The durable consumer of a type of work, which the daemon makes; raises :class:`StartError` where there is none
    within the time.

    A work queue allows one consumer for each subject: one that other workers made before is shared with them.
    """
    try:
        with anyio.fail_after(timeout_s):
            while (name := await find_consumer(js, subjects, work_type)) is None:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(_LOOK_AGAIN_S)
    except TimeoutError:
        raise StartError(f"bridge: no consumer takes {work_type}: is the daemon running?") from None
    return name


async def find_consumer(js: JetStreamContext, subjects: Subjects, work_type: WorkType) -> str | None:
    """The consumer that takes a type of work; raises :class:`StartError` for one that cannot be shared."""
    subject = subjects.full(subject_of.work(work_type))
    for info in await understood(js.consumers_info(subjects.stream(Family.WORK))):
        if subject in {info.config.filter_subject, *(info.config.filter_subjects or ())}:
            if info.config.ack_policy != AckPolicy.EXPLICIT or info.config.deliver_subject is not None:
                raise StartError(
                    f"bridge: the consumer {info.name} of {subject} is no pull consumer with explicit acks"
                )
            return info.name
    return None
