"""Where the facts of a story stand: one query for each table and moment.

``rank`` puts cause before effect where several facts bear one instant.
"""

from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, case, cast, func, literal, literal_column, select

from storage.tables.alerts import alert_notifications, alert_transitions
from storage.tables.base import Int, Str
from storage.tables.content import feed_items, ideas, publications, scripts
from storage.tables.documents import exports
from storage.tables.jobs import instruction_versions, instructions, job_events, jobs, tasks
from storage.tables.journal import dead_letters, inbox, ops_runs
from storage.tables.performance import post_measurements
from storage.tables.replays import dead_letter_discards, dead_letter_replays, replay_items
from storage.tables.sessions import session_events, session_ledger
from storage.tables.usage import session_usage
from storage.tables.work import callback_events, work

KEY: Final = "key"
"""The parameter that a source is asked with."""
DETAIL: Final = "detail_"
"""How the labels of details begin."""
_RECEIVED, _JUDGED, _KEPT, _ROW, _RUN, _REPLAYED, _CALLBACK, _APPROVED = range(8)
_TRANSITION, _DISPATCHED, _ALERT, _ENDED, _DISCARDED = range(8, 13)


class StorySource(NamedTuple):
    """One query. ``key`` is the column it is asked by, ``kind`` one more where it is that of a message."""

    rank: int
    key: ColumnElement[str]
    at: ColumnElement[int]
    place: ColumnElement[str]
    statement: Select[*tuple[Any, ...]]
    kind: ColumnElement[str] | None = None


def _source(
    rank: int,
    what: str | ColumnElement[str],
    *,
    key: ColumnElement[str],
    at: ColumnElement[int],
    place: ColumnElement[Any],
    kind: ColumnElement[str] | None = None,
    id_: ColumnElement[str] | None = None,
    by: ColumnElement[Any] | None = None,
    from_: ColumnElement[Any] | None = None,
    to: ColumnElement[Any] | None = None,
    where: ColumnElement[bool] | None = None,
    join: tuple[Table, ColumnElement[bool]] | None = None,
    taken: tuple[str, ColumnElement[str]] | None = None,
    **details: ColumnElement[Any],
) -> StorySource:
    as_text = place if place.type is Str else cast(place, Str)
    named = {
        "id": id_,
        "by": by,
        "from": from_,
        "to": to,
        **{DETAIL + name: column for name, column in details.items()},
    }
    columns = [
        at.label("at"),
        as_text.label("place"),
        (literal(what) if isinstance(what, str) else what).label("what"),
        *(column.label(name) for name, column in named.items() if column is not None),
    ]
    statement = select(*columns).where(at.is_not(None))
    if where is not None:
        statement = statement.where(where)
    if join is not None:
        statement = statement.join(*join)
    if taken is not None:
        statement = statement.join(inbox, and_(inbox.c.kind == taken[0], inbox.c.message_id == taken[1]), isouter=True)
    return StorySource(rank, key, at, as_text, statement, kind)


_LETTER = dead_letters.c
_REPLAY = dead_letter_replays.c
_DISCARD = dead_letter_discards.c
_ACCEPTED, _DUPLICATE = "replayed", "skipped"
_FIRST: Final = ~(
    select(literal(1))
    .where(_REPLAY.dead_letter_id == _LETTER.dead_letter_id, _REPLAY.outcome.not_in((_ACCEPTED, _DUPLICATE)))
    .exists()
)
"""A later refusal takes the place of the first reason, which rows of before revision 0012 do not tell then."""


def _letters(name: str, key: ColumnElement[str], kind: ColumnElement[str] | None = None) -> dict[str, StorySource]:
    """What a dead letter tells of its message: asked by its id, by the message, by its trace or by its subject."""
    place = letter_id = _LETTER.dead_letter_id
    return {
        f"{name}.received": _source(
            _RECEIVED, "received", key=key, kind=kind, at=_LETTER.stored_at, place=place, by=_LETTER.producer,
            stream=_LETTER.stream, sequence=_LETTER.sequence, delivered=_LETTER.delivered, subject=_LETTER.subject,
        ),
        f"{name}.refused": _source(
            _JUDGED, "refused", key=key, kind=kind, at=_LETTER.received_at, place=place,
            problem=func.coalesce(_LETTER.first_problem, case((_FIRST, _LETTER.problem)), type_=Str),
            kind_of_message=_LETTER.kind,
            message_id=_LETTER.message_id, producer=_LETTER.producer,
        ),
        f"{name}.kept": _source(
            _KEPT, "dead_letter", key=key, kind=kind, at=_LETTER.received_at, place=place, id_=letter_id,
            state=_LETTER.state,
        ),
        f"{name}.discarded": _source(
            _DISCARDED, "discarded", key=key, kind=kind, at=_DISCARD.discarded_at, place=place, id_=letter_id,
            by=_DISCARD.principal, join=(dead_letter_discards, _DISCARD.dead_letter_id == letter_id),
            run_id=_DISCARD.run_id, reason=_DISCARD.reason,
        ),
    }  # fmt: skip


def _replays(
    name: str, key: ColumnElement[str], *, kind: ColumnElement[str] | None = None, through_letter: bool = False
) -> dict[str, StorySource]:
    """Each replay of a dead letter, and what it came to."""
    place = _REPLAY.dead_letter_id + literal("/") + cast(_REPLAY.replay_number, Str)
    join = (dead_letters, _LETTER.dead_letter_id == _REPLAY.dead_letter_id) if through_letter else None
    outcome = case(
        (_REPLAY.outcome == _ACCEPTED, "accepted"), (_REPLAY.outcome == _DUPLICATE, "duplicate"), else_="refused"
    )
    number = _REPLAY.replay_number
    return {
        f"{name}.requested": _source(
            _REPLAYED, case((_REPLAY.body.is_not(None), "edited"), else_="replayed"), key=key, kind=kind,
            at=_REPLAY.requested_at, place=place, id_=_REPLAY.dead_letter_id, by=_REPLAY.principal, join=join,
            replay_number=number, run_id=_REPLAY.run_id, reason=_REPLAY.reason,
        ),
        f"{name}.decided": _source(
            _JUDGED, outcome, key=key, kind=kind, at=_REPLAY.decided_at, place=place, id_=_REPLAY.dead_letter_id,
            join=join, replay_number=number, problem=_REPLAY.problem,
        ),
    }  # fmt: skip


def _work_for(name: str) -> dict[str, StorySource]:
    """Work that went out for a thing: the first time, and again where it went out again."""
    return {
        f"{name}.first": _source(
            _DISPATCHED, "dispatched", key=work.c.subject_id, at=work.c.created_at, place=work.c.work_id,
            id_=work.c.work_id, type=work.c.type, work_state=work.c.state,
        ),
        f"{name}.again": _source(
            _DISPATCHED, "dispatched", key=work.c.subject_id, at=work.c.dispatched_at, place=work.c.work_id,
            id_=work.c.work_id, where=work.c.redispatches > 0, attempt=work.c.attempt,
            redispatches=work.c.redispatches, type=work.c.type, work_state=work.c.state,
        ),
    }  # fmt: skip


def _thing(
    name: str, table: Table, thing_id: str, at: str, by: str | None, *, key: str, **details: ColumnElement[Any]
) -> dict[str, StorySource]:
    """The row that a message or a command made."""
    c = table.c
    row = _source(
        _ROW, "row", key=c[key], at=c[at], place=c[thing_id], id_=c[thing_id],
        by=None if by is None else c[by], table=literal(str(table.name)),
    )  # fmt: skip
    more = [column.label(DETAIL + detail) for detail, column in details.items()]
    return {name: row._replace(statement=row.statement.add_columns(*more))}


def _content(table: Table, thing_id: str, **details: ColumnElement[Any]) -> dict[str, StorySource]:
    """A thing that a message made, asked by its own id, by the newest message of it, and by that message's trace."""
    sources: dict[str, StorySource] = {}
    for suffix, key in (("", thing_id), (".by_message", "message_id"), (".by_trace", "trace_id")):
        name = f"{table.name}{suffix}"
        sources |= _thing(
            name, table, thing_id, "received_at", "producer", key=key, message_id=table.c.message_id, **details
        )
    return sources


def _session_rows(table: Table, kind: str, keys: tuple[str, ...], details: tuple[str, ...]) -> dict[str, StorySource]:
    """What agents reported of a session: at the moment that the report names, in the story of the session; when it was
    taken in, in the story of the message."""
    c = table.c
    taken_at = func.coalesce(inbox.c.received_at, c.created_at, type_=Int)
    moments = [
        *((key, "" if key == "session_id" else ".by_trace", c.at) for key in keys),
        ("message_id", ".by_message", taken_at),
    ]
    sources: dict[str, StorySource] = {}
    for key, suffix, at in moments:
        row = _source(
            _ROW, "row", key=c[key], at=at, place=c.message_id, id_=c.session_id, by=c.agent,
            taken=(kind, c.message_id) if suffix == ".by_message" else None, table=literal(str(table.name)),
            message_id=c.message_id,
        )  # fmt: skip
        more = [c[name].label(DETAIL + name) for name in details]
        sources[f"{table.name}{suffix}"] = row._replace(statement=row.statement.add_columns(*more))
    return sources


_STARTING = job_events.alias("starting").c
# Only events that begin a trace are in the index of traces; a literal selects it where the planner can see it.
_JOBS_OF_TRACE: Final = select(_STARTING.job_id).where(
    _STARTING.trace_id == bindparam(KEY, type_=Str), _STARTING.starts_trace == literal_column("1")
)


def _job_events(key: ColumnElement[str], where: ColumnElement[bool] | None = None) -> StorySource:
    """The steps of jobs."""
    c = job_events.c
    return _source(
        _TRANSITION, case((c.what == "approved", "approved"), else_="transition"), key=key, at=c.at,
        place=c.job_id + literal("/") + cast(c.version + 1_000_000_000, Str), id_=c.job_id, by=c.actor,
        from_=c.from_state, to=c.to_state, where=where, signal=c.what, version=c.version, more=c.details,
    )  # fmt: skip


_ALERT_ROW = alert_transitions.c
_TOLD = alert_notifications.c
_MEASURED = post_measurements.c

SOURCES: Final[dict[str, StorySource]] = {
    "inbox": _source(
        _JUDGED, "accepted", key=inbox.c.message_id, kind=inbox.c.kind, at=inbox.c.received_at,
        place=inbox.c.message_id, id_=inbox.c.message_id, kind_of_message=inbox.c.kind,
    ),
    **_letters("letters", _LETTER.dead_letter_id),
    **_letters("letters_of_message", _LETTER.message_id, _LETTER.kind),
    **_letters("letters_of_trace", _LETTER.trace_id),
    **_letters("letters_of_subject", _LETTER.subject),
    **_replays("replays", _REPLAY.dead_letter_id),
    **_replays("replays_of_message", _LETTER.message_id, kind=_LETTER.kind, through_letter=True),
    **_replays("replays_of_trace", _LETTER.trace_id, through_letter=True),
    **_replays("replays_of_run", _REPLAY.run_id),
    **_content(feed_items, "item_id", status=feed_items.c.status),
    **_content(ideas, "idea_id", topic=ideas.c.topic),
    **_content(scripts, "script_id", title=scripts.c.title, idea_id=scripts.c.idea_id),
    **_content(publications, "post_id", platform=publications.c.platform, status=publications.c.status),
    "post_measurements": _source(
        _ROW, "row", key=_MEASURED.post_id, at=_MEASURED.at, place=_MEASURED.measurement_id + 1_000_000_000,
        id_=_MEASURED.post_id, by=_MEASURED.producer, table=literal("post_measurements"),
        message_id=_MEASURED.message_id, impressions=_MEASURED.impressions, reach=_MEASURED.reach,
    ),
    "publications.cancelled": _source(
        _TRANSITION, "transition", key=publications.c.post_id, at=publications.c.cancelled_at,
        place=publications.c.post_id, id_=publications.c.post_id, by=publications.c.cancelled_by,
        to=literal("cancelled"), reason=publications.c.cancel_reason,
    ),
    **_thing("session_ledger", session_ledger, "session_id", "started_at", "agent", key="session_id"),
    **_session_rows(session_events, "session.event", ("session_id", "trace_id"), ("type",)),
    **_session_rows(session_usage, "session.usage", ("session_id",), ("model", "status", "cost_usd_micros")),
    "jobs": _source(
        _ROW, "row", key=jobs.c.job_id, at=jobs.c.created_at, place=jobs.c.job_id, id_=jobs.c.job_id, by=jobs.c.owner,
        table=literal("jobs"), title=jobs.c.title, project_id=jobs.c.project_id, retry_of=jobs.c.retry_of,
    ),
    "jobs.retried": _source(
        _ROW, "row", key=jobs.c.retry_of, at=jobs.c.created_at, place=jobs.c.job_id, id_=jobs.c.job_id,
        by=jobs.c.owner, table=literal("jobs"), retry_of=jobs.c.retry_of, where=jobs.c.retry_of.is_not(None),
    ),
    "job_events": _job_events(job_events.c.job_id),
    "job_events.by_trace": _job_events(job_events.c.trace_id, job_events.c.job_id.in_(_JOBS_OF_TRACE)),
    "instruction_versions": _source(
        _ROW, "row", key=instructions.c.job_id, at=instruction_versions.c.created_at,
        place=cast(instruction_versions.c.version + 1_000_000_000, Str), id_=instruction_versions.c.instruction_id,
        by=instruction_versions.c.created_by, table=literal("instruction_versions"),
        join=(instructions, instructions.c.instruction_id == instruction_versions.c.instruction_id),
        version=instruction_versions.c.version, validation_status=instruction_versions.c.validation_status,
    ),
    **_work_for("work"),
    "callbacks": _source(
        _CALLBACK, "callback", key=callback_events.c.subject_id, at=callback_events.c.received_at,
        place=callback_events.c.event_id, id_=callback_events.c.event_id, family=callback_events.c.family,
        attempt=callback_events.c.attempt, sequence=callback_events.c.sequence,
    ),
    **{
        f"tasks{suffix}": _source(
            _ROW, "row", key=tasks.c[key], at=tasks.c.created_at, place=tasks.c.task_id, id_=tasks.c.task_id,
            by=tasks.c.owner, table=literal("tasks"), type=tasks.c.type, status=tasks.c.status,
        )
        for suffix, key in (("", "task_id"), (".by_trace", "trace_id"))
    },
    **{
        f"exports{suffix}": _source(
            _ROW, "row", key=exports.c[key], at=exports.c.created_at, place=exports.c.export_id,
            id_=exports.c.export_id, by=exports.c.owner, table=literal("exports"), format=exports.c.format,
            status=exports.c.status,
        )
        for suffix, key in (("", "export_id"), (".of_job", "job_id"))
    },
    "replays_of_item": _source(
        _REPLAYED, "replayed", key=replay_items.c.item_id, at=ops_runs.c.started_at, place=replay_items.c.run_id,
        id_=replay_items.c.run_id, by=ops_runs.c.principal, join=(ops_runs, ops_runs.c.run_id == replay_items.c.run_id),
        outcome=replay_items.c.outcome, reason=replay_items.c.reason,
        where=replay_items.c.target != "dead_letters",
    ),
    **{
        f"runs{suffix}": _source(
            _RUN, "run", key=ops_runs.c[key], at=ops_runs.c.started_at, place=ops_runs.c.run_id, id_=ops_runs.c.run_id,
            by=ops_runs.c.principal, operation=ops_runs.c.operation, parameters=ops_runs.c.parameters,
        )
        for suffix, key in (("", "run_id"), (".by_trace", "trace_id"))
    },
    **{
        f"runs{suffix}.ended": _source(
            _ENDED, "run", key=ops_runs.c[key], at=ops_runs.c.ended_at, place=ops_runs.c.run_id, id_=ops_runs.c.run_id,
            operation=ops_runs.c.operation, to=ops_runs.c.status, error=ops_runs.c.error,
        )
        for suffix, key in (("", "run_id"), (".by_trace", "trace_id"))
    },
    "alert_transitions": _source(
        _ALERT, "alert", key=_ALERT_ROW.rule, at=_ALERT_ROW.at, place=_ALERT_ROW.transition_id, id_=_ALERT_ROW.rule,
        by=_ALERT_ROW.actor, from_=_ALERT_ROW.from_severity, to=_ALERT_ROW.severity, change=_ALERT_ROW.what,
        lifecycle=_ALERT_ROW.lifecycle_state, reason=_ALERT_ROW.reason, until_at=_ALERT_ROW.until,
        more=_ALERT_ROW.facts,
    ),
    "alert_notifications": _source(
        _ENDED, "alert", key=_TOLD.rule, at=_TOLD.updated_at, place=_TOLD.transition_id + literal("/") + _TOLD.notifier,
        id_=_TOLD.rule, by=_TOLD.notifier, change=literal("notified"), action=_TOLD.action, severity=_TOLD.severity,
        notification=_TOLD.state, attempts=_TOLD.attempts,
    ),
}  # fmt: skip
