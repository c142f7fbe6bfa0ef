"""What has failed for good and can be replayed: items of feeds, publications and jobs, in the order of their ids."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, literal_column, not_, select

from contracts.values.states import ItemState, JobState, PublicationState, TaskState
from domain.work.work import Failure
from storage.engine.failure_text import read_failure
from storage.tables.content import feed_items, publications
from storage.tables.jobs import jobs, tasks


class Failed(NamedTuple):
    """``failure`` is the reason, where it is known; ``attempt`` how often it was handed out, ``producer``
    who sent it. Of a job: its place in the chain of retries, and its owner.
    """

    id: str
    status: str
    attempt: int
    producer: str
    failure: Failure | None
    updated_at: int


class FailedThings:
    """Reads ``feed_items``, ``publications`` and ``jobs``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def items(self, *, after: str | None, limit: int) -> list[Failed]:
        """Failed items."""
        item = feed_items.c
        statement = _ITEMS.where(item.status == ItemState.FAILED).order_by(item.item_id).limit(limit)
        return self._rows(statement if after is None else statement.where(item.item_id > after))

    def items_of(self, ids: Sequence[str]) -> list[Failed]:
        """Those of *ids* that there are, failed or not."""
        return self._rows(_ITEMS.where(feed_items.c.item_id.in_(ids))) if ids else []

    def publications(self, *, after: str | None, limit: int) -> list[Failed]:
        """Failed publications."""
        post = publications.c
        statement = _PUBLICATIONS.where(post.status == PublicationState.FAILED).order_by(post.post_id).limit(limit)
        return self._rows(statement if after is None else statement.where(post.post_id > after))

    def publications_of(self, ids: Sequence[str]) -> list[Failed]:
        """Those of *ids* that there are, failed or not."""
        return self._rows(_PUBLICATIONS.where(publications.c.post_id.in_(ids))) if ids else []

    def jobs(self, *, after: str | None, limit: int) -> list[Failed]:
        """Failed jobs that no other job has retried."""
        statement = _JOBS.where(_HAS_FAILED, _UNTRIED).order_by(jobs.c.job_id).limit(limit)
        return self._rows(statement if after is None else statement.where(jobs.c.job_id > after))

    def jobs_of(self, ids: Sequence[str]) -> list[Failed]:
        """Those of *ids* that there are, failed or not."""
        return self._rows(_JOBS.where(jobs.c.job_id.in_(ids))) if ids else []

    def tasks(self, work_type: str, *, after: str | None, limit: int) -> list[Failed]:
        """Failed tasks of a type of work."""
        failed = (tasks.c.type == work_type, tasks.c.status == TaskState.FAILED)
        statement = _TASKS.where(*failed).order_by(tasks.c.task_id).limit(limit)
        return self._rows(statement if after is None else statement.where(tasks.c.task_id > after))

    def tasks_of(self, work_type: str, ids: Sequence[str]) -> list[Failed]:
        """Those of *ids* that there are, failed or not."""
        return self._rows(_TASKS.where(tasks.c.type == work_type, tasks.c.task_id.in_(ids))) if ids else []

    def _rows(self, statement: Select[*tuple[Any, ...]]) -> list[Failed]:
        return [Failed(*row)._replace(failure=read_failure(row.failure)) for row in self._connection.execute(statement)]


_OTHERS: Final = Failed._fields[1:]
_ITEMS: Final[Select[*tuple[Any, ...]]] = select(feed_items.c.item_id, *(feed_items.c[name] for name in _OTHERS))
_PUBLICATIONS: Final[Select[*tuple[Any, ...]]] = select(
    publications.c.post_id, *(publications.c[name] for name in _OTHERS)
)
_JOBS: Final[Select[*tuple[Any, ...]]] = select(
    jobs.c.job_id, jobs.c.status, jobs.c.attempt, jobs.c.owner, jobs.c.error.label("failure"), jobs.c.updated_at
)
_TASKS: Final[Select[*tuple[Any, ...]]] = select(
    tasks.c.task_id, tasks.c.status, tasks.c.attempt, tasks.c.owner, tasks.c.error.label("failure"), tasks.c.updated_at
)
# A literal, not a parameter: it selects a partial index only where the planner can see it.
_HAS_FAILED: Final = jobs.c.status == literal_column(f"'{JobState.FAILED}'")
_RETRY: Final = jobs.alias("retry")
_UNTRIED: Final = not_(select(literal_column("1")).where(_RETRY.c.retry_of == jobs.c.job_id).exists())
