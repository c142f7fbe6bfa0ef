"""What bears an id: exact matches over the tables of every family."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal, literal_column, select, union_all

from storage.tables.alerts import alert_state
from storage.tables.base import Int, Str
from storage.tables.content import feed_items, ideas, publications, scripts
from storage.tables.documents import exports
from storage.tables.jobs import job_events, jobs, projects, tasks
from storage.tables.journal import dead_letters, inbox, ops_runs
from storage.tables.sessions import session_events, session_ledger

MOST_FOUND: Final = 20


class FoundId(NamedTuple):
    """A thing that bears the id. ``kind`` is set for messages and dead letters; ``label`` is for people."""

    what: str
    id: str
    kind: str | None
    at: int
    label: str


class IdRepository(Protocol):
    """Looks ids up."""

    def find(self, wanted: str, kinds: Sequence[str]) -> Sequence[FoundId]:
        """At most :data:`MOST_FOUND` things that bear the id *wanted*; messages among those of *kinds*."""
        ...


class SqlIdRepository:
    """Reads by primary keys and indexes only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, wanted: str, kinds: Sequence[str]) -> Sequence[FoundId]:
        parameters = {"wanted": wanted, "kinds": list(kinds)}
        rows = self._connection.execute(_FIND, parameters).all()
        return [FoundId(*row) for row in rows]


_WANTED: Final = bindparam("wanted", type_=Str)
_NO_KIND: Final[ColumnElement[Any]] = literal(None, Str)


def _by(
    what: str,
    key: ColumnElement[str],
    at: ColumnElement[int],
    label: ColumnElement[Any],
    *,
    id_: ColumnElement[str] | None = None,
    kind: ColumnElement[Any] = _NO_KIND,
) -> Select[*tuple[Any, ...]]:
    one = select(
        literal(what).label("what"),
        (key if id_ is None else id_).label("id"),
        kind.label("kind"),
        at.label("at"),
        func.coalesce(label, literal("")).label("label"),
    ).where(key == _WANTED)
    return one.limit(MOST_FOUND)


def _trace(key: ColumnElement[str], at: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """A trace is there once, however many rows bear it."""
    earliest = func.min(at, type_=Int)
    found = select(literal("trace"), key, _NO_KIND, earliest, literal("")).where(key == _WANTED)
    return found.group_by(key)


_LETTER = dead_letters.c
# A literal, not a parameter: it selects a partial index only where the planner can see it.
_STARTS: Final = job_events.c.starts_trace == literal_column("1")
_SOURCES: Final[tuple[Select[*tuple[Any, ...]], ...]] = (
    _by("message", inbox.c.message_id, inbox.c.received_at, inbox.c.kind, kind=inbox.c.kind).where(
        inbox.c.kind.in_(bindparam("kinds", expanding=True))
    ),
    _by("dead_letter", _LETTER.dead_letter_id, _LETTER.received_at, _LETTER.code, kind=_LETTER.kind),
    _by(
        "dead_letter",
        _LETTER.message_id,
        _LETTER.received_at,
        _LETTER.code,
        id_=_LETTER.dead_letter_id,
        kind=_LETTER.kind,
    ),
    _by("session", session_ledger.c.session_id, session_ledger.c.started_at, session_ledger.c.agent),
    _by("item", feed_items.c.item_id, feed_items.c.received_at, feed_items.c.title),
    _by("idea", ideas.c.idea_id, ideas.c.received_at, ideas.c.topic),
    _by("script", scripts.c.script_id, scripts.c.received_at, scripts.c.title),
    _by("publication", publications.c.post_id, publications.c.received_at, publications.c.platform),
    _by("project", projects.c.project_id, projects.c.created_at, projects.c.name),
    _by("job", jobs.c.job_id, jobs.c.created_at, jobs.c.title),
    _by("task", tasks.c.task_id, tasks.c.created_at, tasks.c.type),
    _by("export", exports.c.export_id, exports.c.created_at, exports.c.format),
    _by("run", ops_runs.c.run_id, ops_runs.c.started_at, ops_runs.c.operation),
    _by("alert", alert_state.c.rule, alert_state.c.since, alert_state.c.severity),
    _trace(_LETTER.trace_id, _LETTER.received_at),
    _trace(ops_runs.c.trace_id, ops_runs.c.started_at),
    _trace(job_events.c.trace_id, job_events.c.at).where(_STARTS),
    _trace(session_events.c.trace_id, session_events.c.at),
    _trace(feed_items.c.trace_id, feed_items.c.received_at),
    _trace(ideas.c.trace_id, ideas.c.received_at),
    _trace(scripts.c.trace_id, scripts.c.received_at),
    _trace(publications.c.trace_id, publications.c.received_at),
    _trace(tasks.c.trace_id, tasks.c.created_at),
)
_ALL: Final = union_all(*(select(each.subquery()) for each in _SOURCES)).subquery()
_FIND: Final = select(_ALL.c.what, _ALL.c.id, _ALL.c.kind, _ALL.c.at, _ALL.c.label).order_by(_ALL.c.at.desc())
