"""The lane of work: before anything new is published, messages of work that went on without them leave the stream.

So at most one message of a work lies there. What is to leave is in the database (``work_removals``) and stays there
until it is known to be gone: a crash at any point only makes the removal happen again.
"""

from collections.abc import Callable, Sequence
from typing import Final

import structlog
from nats.aio.client import Client

from adapters.nats.streams.stored_messages import delete_message, message_at, sequence_of_message
from contracts import subjects
from contracts.subjects import Family, Subjects
from daemon.outbox.relay import SentMessage
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from storage.work.work import WorkMessage

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 100


class WorkLane:
    """Keeps the stream of work free of withdrawn work."""

    # A cancelled job has nothing to publish here that would wake the lane.
    idle_check_s: float = 1.0

    def __init__(self, nc: Client, database: Database, names: Subjects, clock: Callable[[], int]) -> None:
        self._nc = nc
        self._database = database
        self._names = names
        self._clock = clock
        self._stream = names.stream(Family.WORK)

    async def prepare(self) -> None:
        """Take out what is to be removed. Raises :class:`adapters.errors.JetStreamError` where the stream is away."""
        while removals := await self._database.read(lambda uow: uow.work.list_removals(limit=_AT_ONCE)):
            await self._remove_all(removals)

    async def _remove_all(self, removals: Sequence[WorkMessage]) -> None:
        for removal in removals:
            await self._remove(removal)
        gone = [removal.message_id for removal in removals]
        await self._database.write(lambda uow: uow.work.record_removed(gone))

    async def _remove(self, removal: WorkMessage) -> None:
        sequence = await self._sequence_of(removal)
        if sequence is not None and await delete_message(self._nc, self._stream, sequence):
            log.info("work_message_removed", type=removal.type, message_id=removal.message_id, sequence=sequence)

    async def _sequence_of(self, removal: WorkMessage) -> int | None:
        """Where it lies now: a stream that was made anew may have given its sequence to another message."""
        known = removal.stream_sequence
        if known is not None:
            found = await message_at(self._nc, self._stream, known)
            return known if found is not None and found.message_id == removal.message_id else None
        subject = self._names.full(subjects.work(removal.type))
        return await sequence_of_message(
            self._nc, self._stream, subject, removal.message_id, not_before=removal.not_before
        )

    def record_sent(self, sent: Sequence[SentMessage], uow: UnitOfWork) -> None:
        """Note where messages lie; those that are no longer their work's are to be removed."""
        uow.work.record_arrivals([self._message(each) for each in sent], now=self._clock())

    def _message(self, sent: SentMessage) -> WorkMessage:
        work_type = subjects.rest_of(self._names.bare(sent.message.subject) or "")
        return WorkMessage(sent.message.message_id, work_type, sent.sequence, sent.written_at)
