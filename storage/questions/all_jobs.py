"""The jobs of all owners."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Select, func, select

from contracts.values.states import JobState
from domain.jobs.job import Job
from storage.jobs.jobs import JOB_COLUMNS, job_of_row
from storage.tables.jobs import jobs


class JobFilter(NamedTuple):
    """Which jobs are meant; None says nothing. ``since`` is inclusive and on the creation."""

    status: JobState | None = None
    project_id: str | None = None
    owner: str | None = None
    since: int | None = None


class AllJobsRepository(Protocol):
    """Jobs of all owners."""

    def page(self, wanted: JobFilter, *, before: str | None, limit: int) -> Sequence[Job]:
        """Newest first, from the one after the id *before* on."""
        ...

    def counts(self, wanted: JobFilter) -> Mapping[JobState, int]:
        """How many jobs there are in each state, whatever the status in the filter."""
        ...


class SqlAllJobsRepository:
    """``jobs`` without an owner in the query: for operators only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def page(self, wanted: JobFilter, *, before: str | None, limit: int) -> Sequence[Job]:
        statement = _filtered(select(*JOB_COLUMNS), wanted)
        if wanted.status is not None:
            statement = statement.where(jobs.c.status == wanted.status)
        if before is not None:
            statement = statement.where(jobs.c.job_id < before)
        rows = self._connection.execute(statement.order_by(jobs.c.job_id.desc()).limit(limit))
        return [job_of_row(row) for row in rows]

    def counts(self, wanted: JobFilter) -> Mapping[JobState, int]:
        statement = _filtered(select(jobs.c.status, func.count()), wanted).group_by(jobs.c.status)
        return {JobState(status): count for status, count in self._connection.execute(statement)}


def _filtered(statement: Select[*tuple[Any, ...]], wanted: JobFilter) -> Select[*tuple[Any, ...]]:
    for column, value in ((jobs.c.project_id, wanted.project_id), (jobs.c.owner, wanted.owner)):
        if value is not None:
            statement = statement.where(column == value)
    return statement if wanted.since is None else statement.where(jobs.c.created_at >= wanted.since)
