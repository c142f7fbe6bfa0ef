"""Publications: what is to go out where and when, and what became of it."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol

import orjson
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, Update, bindparam, func, literal_column, select, update
from sqlalchemy.sql.dml import ReturningInsert

from contracts.values.states import PublicationState
from domain.content.publications import Cancellation, Publication
from storage.content.pages import Mark, Period, page_of
from storage.engine.batches import BatchRows, Scalar, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failure_text import failure_text, read_failure
from storage.tables.content import publications
from storage.tables.jobs import jobs
from storage.work.work import WorkRecord, WorkRepository, work_in_hand


class StoredPublication(Struct, frozen=True):
    """A publication: its standing, and what its newest message says beside that. Times are microseconds since the
    epoch."""

    publication: Publication
    script_id: str | None
    job_id: str | None
    platform: str
    caption: str
    hashtags: tuple[str, ...]
    topic: str | None
    objective: str | None
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int
    version: int = 1

    @property
    def post_id(self) -> str:
        return self.publication.post_id


class PublicationRepository(Protocol):
    """What is to be published."""

    def add(self, rows: Sequence[StoredPublication]) -> set[str]:
        """Keep those that are new; answers their ids. There is one of each id among *rows*."""
        ...

    def lock(self, post_ids: Sequence[str]) -> Mapping[str, StoredPublication]:
        """The publications, kept from others until the transaction ends."""
        ...

    def lock_due(self, *, now: int, limit: int, without: Sequence[str] = ()) -> Sequence[StoredPublication]:
        """What is scheduled, due and in nobody else's hands, the longest due first, kept from others; not *without*."""
        ...

    def due_since(self, moment: int, *, limit: int) -> Sequence[str]:
        """The ids of those that are scheduled and were due at *moment*, the longest due first."""
        ...

    def next_due_at(self) -> int | None:
        """When the next of those that are scheduled is due."""
        ...

    def video_urls(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        """The finished videos of those jobs that have one."""
        ...

    def store(self, rows: Sequence[StoredPublication]) -> None: ...

    def get(self, post_id: str) -> StoredPublication | None: ...

    def page(
        self, within: Period, *, status: str | None, before: Mark | None, limit: int
    ) -> Sequence[StoredPublication]:
        """By ``publish_at``, newest first, from the one after *before* on."""
        ...


class SqlPublicationRepository:
    """The ``publications`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, rows: Sequence[StoredPublication]) -> set[str]:
        if not rows:
            return set()
        added = self._connection.execute(_add(self._dialect), _batch(rows))
        return {row.post_id for row in added}

    def lock(self, post_ids: Sequence[str]) -> Mapping[str, StoredPublication]:
        if not post_ids:
            return {}
        asked = as_parameter([(post_id,) for post_id in post_ids])
        found = self._publications(self._connection.execute(_lock(self._dialect), asked).all())
        return {publication.post_id: publication for publication in found}

    def lock_due(self, *, now: int, limit: int, without: Sequence[str] = ()) -> Sequence[StoredPublication]:
        wanted = _LOCK_DUE.where(publications.c.post_id.not_in(without)) if without else _LOCK_DUE
        return self._publications(self._connection.execute(wanted, {"now": now, "limit": limit}).all())

    def due_since(self, moment: int, *, limit: int) -> Sequence[str]:
        return list(self._connection.execute(_DUE_SINCE, {"moment": moment, "limit": limit}).scalars())

    def next_due_at(self) -> int | None:
        return self._connection.execute(_NEXT_DUE).scalar_one()

    def video_urls(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        if not job_ids:
            return {}
        asked = as_parameter([(job_id,) for job_id in job_ids])
        return {row.job_id: row.video_url for row in self._connection.execute(_videos(self._dialect), asked)}

    def store(self, rows: Sequence[StoredPublication]) -> None:
        if rows:
            execute_change(self._connection, _store(self._dialect), _batch(rows))

    def get(self, post_id: str) -> StoredPublication | None:
        found = self._publications(self._connection.execute(_GET, {"post_id": post_id}).all())
        return found[0] if found else None

    def page(
        self, within: Period, *, status: str | None, before: Mark | None, limit: int
    ) -> Sequence[StoredPublication]:
        when = publications.c.publish_at
        wanted = page_of(publications, _NAMES, when, within, status=status, before=before, limit=limit)
        return self._publications(self._connection.execute(wanted).all())

    def _publications(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[StoredPublication]:
        work = WorkRepository(self._connection).get_many([row.work_id for row in rows if row.work_id is not None])
        return [_publication(row, work.get(row.work_id)) for row in rows]


_NAMES: Final = (
    *("post_id", "script_id", "job_id", "platform", "publish_at", "caption", "hashtags", "topic", "objective"),
    *("status", "due_at", "attempt", "failures", "work_id", "external_id", "failure", "message_id", "trace_id"),
    *("producer", "created_at", "received_at", "updated_at", "version", "cancelled_by", "cancelled_at"),
    "cancel_reason",
)
_COLUMNS: Final = tuple(publications.c[name] for name in _NAMES)


def _batch(rows: Sequence[StoredPublication]) -> dict[str, object]:
    return as_parameter(map(_columns, sorted(rows, key=lambda row: row.post_id)))


def _columns(stored: StoredPublication) -> tuple[Scalar, ...]:
    """In the order of :data:`_NAMES`."""
    post, cancelled = stored.publication, stored.publication.cancellation
    return (
        post.post_id, stored.script_id, stored.job_id, stored.platform, post.publish_at, stored.caption,
        orjson.dumps(stored.hashtags).decode(), stored.topic, stored.objective, post.status, post.due_at, post.attempt,
        post.failures, None if post.work is None else post.work.work_id, post.external_id, failure_text(post.error),
        stored.message_id, stored.trace_id, stored.producer, stored.created_at, stored.received_at, stored.updated_at,
        stored.version, *((None,) * 3 if cancelled is None else (cancelled.by, cancelled.at, cancelled.reason)),
    )  # fmt: skip


def _publication(row: Row[*tuple[Any, ...]], work: WorkRecord | None) -> StoredPublication:
    called_off = row.cancelled_by is not None and row.cancelled_at is not None
    return StoredPublication(
        publication=Publication(
            post_id=row.post_id,
            publish_at=row.publish_at,
            due_at=row.due_at,
            status=PublicationState(row.status),
            attempt=row.attempt,
            failures=row.failures,
            external_id=row.external_id,
            error=read_failure(row.failure),
            cancellation=Cancellation(row.cancelled_by, row.cancelled_at, row.cancel_reason) if called_off else None,
            work=work_in_hand(work),
        ),
        script_id=row.script_id,
        job_id=row.job_id,
        platform=row.platform,
        caption=row.caption,
        hashtags=tuple(orjson.loads(row.hashtags)),
        topic=row.topic,
        objective=row.objective,
        message_id=row.message_id,
        trace_id=row.trace_id,
        producer=row.producer,
        created_at=row.created_at,
        received_at=row.received_at,
        updated_at=row.updated_at,
        version=row.version,
    )


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
    statement = insert_rows(dialect, publications, _NAMES)
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
    batch = BatchRows(dialect, publications, _NAMES)
    return (
        update(publications)
        .where(publications.c.post_id == batch.cells["post_id"])
        .values({name: batch.cells[name] for name in _NAMES[1:]})
    )
