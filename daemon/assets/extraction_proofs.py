"""Proving what workers extracted: the bytes of each picture are read before its task succeeds."""

from collections.abc import Callable, Iterable
from typing import Final

import structlog

from daemon.assets.byte_cache import TooManyBytesError
from daemon.assets.inspection import Inspector
from domain.assets.assets import Content
from handlers.documents.tasks.extraction import end_extraction, reported_pictures
from handlers.effects import Context
from storage.engine.database import Database
from storage.work.tasks import TaskRecord

log = structlog.get_logger(__name__)

LOOK_S: Final = 0.5
_AT_ONCE: Final = 10


class ExtractionProofs:
    """Looks for reports that wait to be proven."""

    def __init__(
        self,
        database: Database,
        inspector: Inspector,
        *,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
        most_bytes: int,
    ) -> None:
        self._database = database
        self._inspector = inspector
        self._context = context
        self._wake = wake
        self._most_bytes = most_bytes

    async def step(self) -> float | None:
        """Prove what waits. Raises what storage and the store raise: it waits on."""
        waiting = await self._database.read(lambda uow: uow.tasks.unproven(limit=_AT_ONCE))
        for record in waiting:
            await self._prove(record)
        return 0.0 if len(waiting) == _AT_ONCE else None

    async def _prove(self, record: TaskRecord) -> None:
        found = {picture.object: await self._look_at(picture.object) for picture in reported_pictures(record)}
        context = self._context()
        ended = await self._database.write(lambda uow: end_extraction(record, found, uow, context))
        if ended:
            self._wake([context.subjects.status_lane])
            log.info("extraction_proven", task_id=record.task.task_id)

    async def _look_at(self, name: str) -> Content | None:
        """What the picture is. One that is too large, or that a scan refuses, is none. Raises :class:`AdapterError`."""
        try:
            inspected = await self._inspector.look_at(name, most_bytes=self._most_bytes)
        except TooManyBytesError:
            return None
        return None if inspected is None or inspected.refused else inspected.content
