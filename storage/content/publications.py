"""Publications: what is to go out where and when, and what became of it."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, Update, bindparam, func, literal_column, select, update
from sqlalchemy.sql.dml import ReturningInsert

from contracts.values.states import PublicationState
from storage.content.pages import page_of
from storage.content.ports import Mark, Period
from storage.engine.batches import BatchRows, as_parameter, insert_rows
from storage.ledger.ports import Publication
from storage.tables.content import publications
from storage.tables.jobs import jobs


class SqlPublicationRepository:
    """The ``publications`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, rows: Sequence[Publication]) -> set[str]:
        if not rows:
            return set()
        added = self._connection.execute(_add(self._dialect), as_parameter(sorted(rows)))
        return {row.post_id for row in added}

    def lock(self, post_ids: Sequence[str]) -> Mapping[str, Publication]:
        if not post_ids:
            return {}
        asked = as_parameter([(post_id,) for post_id in post_ids])
        return {row.post_id: Publication(*row) for row in self._connection.execute(_lock(self._dialect), asked)}

    def lock_due(self, *, now: int, limit: int, without: Sequence[str] = ()) -> Sequence[Publication]:
        wanted = _LOCK_DUE.where(publications.c.post_id.not_in(without)) if without else _LOCK_DUE
        return [Publication(*row) for row in self._connection.execute(wanted, {"now": now, "limit": limit})]

    def due_since(self, moment: int, *, limit: int) -> Sequence[str]:
        return list(self._connection.execute(_DUE_SINCE, {"moment": moment, "limit": limit}).scalars())

    def next_due_at(self) -> int | None:
        return self._connection.execute(_NEXT_DUE).scalar_one()

    def video_urls(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        if not job_ids:
            return {}
        asked = as_parameter([(job_id,) for job_id in job_ids])
        return {row.job_id: row.video_url for row in self._connection.execute(_videos(self._dialect), asked)}

    def store(self, rows: Sequence[Publication]) -> None:
        if rows:
            self._connection.execute(_store(self._dialect), as_parameter(sorted(rows)))

    def get(self, post_id: str) -> Publication | None:
        row = self._connection.execute(_GET, {"post_id": post_id}).one_or_none()
        return None if row is None else Publication(*row)

    def page(self, within: Period, *, status: str | None, before: Mark | None, limit: int) -> Sequence[Publication]:
        when = publications.c.publish_at
        wanted = page_of(publications, Publication._fields, when, within, status=status, before=before, limit=limit)
        return [Publication(*row) for row in self._connection.execute(wanted)]


_COLUMNS: Final = tuple(publications.c[name] for name in Publication._fields)
_GET: Final[Select[*tuple[Any, ...]]] = select(*_COLUMNS).where(publications.c.post_id == bindparam("post_id"))
# A literal, not a parameter: it selects the partial index only where the planner can see it.
_SCHEDULED: Final = publications.c.status == literal_column(f"'{PublicationState.SCHEDULED}'")
_NEXT_DUE: Final[Select[int | None]] = select(func.min(publications.c.due_at)).where(_SCHEDULED)
_DUE_SINCE: Final[Select[str]] = (
    select(publications.c.post_id)
    .where(_SCHEDULED, publications.c.due_at <= bindparam("moment"))
    .order_by(publications.c.due_at)
    .limit(bindparam("limit"))
)
# Whoever comes second skips what another daemon is handing out at this moment.
_LOCK_DUE: Final[Select[*tuple[Any, ...]]] = (
    select(*_COLUMNS)
    .where(_SCHEDULED, publications.c.due_at <= bindparam("now"))
    .order_by(publications.c.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


@cache
def _add(dialect: str) -> ReturningInsert[Any]:
    statement = insert_rows(dialect, publications, Publication._fields)
    return statement.on_conflict_do_nothing(index_elements=["post_id"]).returning(publications.c.post_id)


@cache
def _lock(dialect: str) -> Select[*tuple[Any, ...]]:
    these = BatchRows(dialect, publications, ("post_id",)).contains
    return select(*_COLUMNS).where(these).order_by(publications.c.post_id).with_for_update()


@cache
def _videos(dialect: str) -> Select[str, str | None]:
    these = BatchRows(dialect, jobs, ("job_id",)).contains
    return select(jobs.c.job_id, jobs.c.video_url).where(these, jobs.c.video_url.is_not(None))


@cache
def _store(dialect: str) -> Update:
    batch = BatchRows(dialect, publications, Publication._fields)
    return (
        update(publications)
        .where(publications.c.post_id == batch.cells["post_id"])
        .values({name: batch.cells[name] for name in Publication._fields[1:]})
    )
