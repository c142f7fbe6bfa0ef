"""A house in which a run can be repeated to the letter, and the way back to an empty database."""

import uuid
from itertools import count
from typing import Final

from msgspec.structs import replace
from sqlalchemy import delete

from contracts.gate.delivery import Delivery, Judged
from contracts.values.work import WorkType
from handlers.effects import Context, WorkTerms
from storage.engine.database import Database
from storage.tables import metadata
from storage.unit_of_work import UnitOfWork
from tests.handlers.jobs.callback_model import REORDER_S
from tests.handlers.jobs.job_model import DEADLINE, MAX_REDISPATCHES, SECOND
from tests.handlers.jobs.owners import House

TERMS: Final = WorkTerms(
    deadline_s=dict.fromkeys(WorkType, DEADLINE / SECOND), max_attempts=MAX_REDISPATCHES, reorder_s=REORDER_S
)


class CountedHouse(House):
    """A house whose ids are counted."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._ids = count(1)

    def context(self) -> Context:
        return replace(super().context(), new_id=lambda: str(uuid.UUID(int=next(self._ids))), work=TERMS)

    def judge(self, delivery: Delivery) -> Judged:
        """What the gate says to a message of the stream."""
        return self._gate.judge(delivery)


def empty(uow: UnitOfWork) -> None:
    """Nothing was ever stored."""
    for table in reversed(metadata.sorted_tables):
        uow.connection.execute(delete(table))
