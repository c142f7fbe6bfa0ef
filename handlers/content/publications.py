"""Publications: scheduled, handed out when due, and then whatever the publisher reports."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from contracts.errors import JsonObject, JsonValue, Problem
from contracts.gate.delivery import Accepted
from contracts.payloads.callbacks import PublishOutcome, PublishResult
from contracts.payloads.ingest.schedule import ContentSchedule
from contracts.values.principals import SYSTEM
from contracts.values.times import format_micros
from contracts.values.work import WorkType
from domain.access import NOT_FOUND
from domain.content import publications as rules
from domain.content.publications import PublicationDecision, PublicationRuling, RetryTerms
from domain.work.work import GAVE_UP, UNEXPLAINED, By, Failure, Overdue, WorkChange
from handlers.content.content_views import publication_view, view_event
from handlers.content.ideas_and_scripts import scripts_for_work
from handlers.effects import Context, Effects
from handlers.work.callbacks import CallbackReport, decide_in_order, reports_of
from handlers.work.dispatch import Order, hand_out, start
from handlers.work.work_writer import WorkWriter
from storage.content.publications import StoredPublication
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work import SubjectKind


def take_schedules(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """``content.schedule``: the newest message counts, as long as nothing went out."""
    first: dict[str, int] = {}
    for index, accepted in enumerate(group):
        first.setdefault(_said(accepted).post_id, index)
    added = uow.publications.add([_row(group[index], context) for index in first.values()])
    later = [index for index, accepted in enumerate(group) if index != first[_said(accepted).post_id]]
    known = [index for post_id, index in first.items() if post_id not in added]
    effects = Effects()
    recorder = PublicationRecorder.locked([_said(group[index]).post_id for index in known + later], uow, context)
    for index in sorted(known + later):
        if (objection := recorder.reschedule(group[index])) is not None:
            effects.refused[index] = objection
    recorder.write()
    return effects


def take_publish_results(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """``publish.result``: published, failed for good, or failed and to be tried again later."""
    reports = reports_of(group)
    recorder = PublicationRecorder.locked([report.subject_id for report in reports], uow, context)
    effects = decide_in_order(reports, recorder.take_result, uow, context)
    effects.outbox += recorder.write()
    return effects


class DueDispatched(NamedTuple):
    """How many publications went out, and the lanes that have something to send for it."""

    posts: int
    lanes: frozenset[str]


def send_due(
    uow: UnitOfWork, context: Context, *, limit: int, without: Sequence[str] = (), only: Sequence[str] | None = None
) -> DueDispatched:
    """Hand out what is due by now, *limit* at most, and put the messages in line.

    With *only*, those of them that are due.
    """
    if only is None:
        rows = uow.publications.lock_due(now=context.now, limit=limit, without=without)
    else:
        rows = list(uow.publications.lock(only).values())
    recorder = PublicationRecorder(rows, uow, context)
    posts = sum(recorder.dispatch(row.post_id) for row in rows)
    messages = recorder.write()
    uow.outbox.add(messages, owner=context.daemon_id, now=context.now)
    return DueDispatched(posts, frozenset(message.lane for message in messages))


class PublicationRecorder:
    """Publications under decision in one transaction, locked; :meth:`write` writes all that was decided."""

    def __init__(self, rows: Sequence[StoredPublication], uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        self._context = context
        self._by = By(SYSTEM, context.now)
        self._rows = {row.post_id: row for row in rows}
        self._changed: set[str] = set()
        self._dispatched: list[PublicationDecision] = []
        self._ended = WorkWriter(uow, context)
        self._events: list[OutboxMessage] = []

    @classmethod
    def locked(cls, post_ids: Sequence[str], uow: UnitOfWork, context: Context) -> "PublicationRecorder":
        return cls(list(uow.publications.lock(sorted(set(post_ids))).values()), uow, context)

    def reschedule(self, accepted: Accepted) -> Problem | None:
        """A later message about it: an older one changes nothing, a newer one only as long as nothing went out."""
        said = _said(accepted)
        row = self._rows[said.post_id]
        if accepted.created_at <= row.created_at:
            return None
        ruling = rules.rescheduled(row.publication, said.publish_at)
        if isinstance(ruling, Problem):
            return ruling
        self._rows[said.post_id] = replace(
            _row(accepted, self._context),
            publication=row.publication,
            received_at=row.received_at,
            version=row.version,
        )
        self._store(ruling)
        return None

    def take_result(self, report: CallbackReport) -> Problem | None:
        """What the publisher says."""
        standing, result = self._standing(report.subject_id), report.payload
        if standing is None or not isinstance(result, PublishResult):
            return NOT_FOUND
        ruling, why = self._judge(standing, result)
        if isinstance(ruling, Problem):
            return ruling
        self._store(ruling, failure=why)
        return None

    def _standing(self, post_id: str) -> rules.Publication | None:
        row = self._rows.get(post_id)
        return None if row is None else row.publication

    def _judge(self, standing: rules.Publication, result: PublishResult) -> tuple[PublicationRuling, Failure | None]:
        if result.outcome is PublishOutcome.PUBLISHED:
            return rules.published(standing, result.external_id), None
        told = result.failure
        why = UNEXPLAINED if told is None else Failure(told.code, told.message, told.retryable)
        return rules.failed(standing, why, self._retry_terms(), self._by), why

    def _retry_terms(self) -> RetryTerms:
        terms = self._context.work
        return RetryTerms(
            max_attempts=terms.max_attempts,
            first_s=terms.retry_first_s,
            most_s=terms.retry_most_s,
            chance=self._context.chance(),
        )

    def dispatch(self, post_id: str) -> bool:
        """Hand it out if it is due; whether it was."""
        standing = self._standing(post_id)
        return standing is not None and self._store(
            rules.dispatch_due(standing, start(WorkType.PUBLISH, self._context), self._by)
        )

    def cancel(self, post_id: str, by: By, reason: str | None) -> Problem | StoredPublication:
        """Call it off as long as nothing went out; the publication as it then is."""
        standing = self._standing(post_id)
        ruling = NOT_FOUND if standing is None else rules.cancel(standing, by, reason)
        if isinstance(ruling, Problem):
            return ruling
        self._store(ruling)
        return self._rows[post_id]

    def replay(self, post_id: str) -> bool:
        """Schedule a failed publication again, due now; false where it is not failed."""
        standing = self._standing(post_id)
        return standing is not None and self._store(rules.replayed(standing, self._by))

    def heal(self, post_id: str) -> Overdue:
        """Hand out again what is past its deadline, or give it up."""
        standing = self._standing(post_id)
        if standing is None or standing.work is None:
            return Overdue.NOT_YET
        terms = self._context.work
        decision = rules.overdue(
            standing,
            at=self._context.now,
            deadline_s=terms.deadline_s[WorkType.PUBLISH],
            max_attempts=terms.max_attempts,
        )
        if not self._store(decision, failure=None if decision.dispatch else GAVE_UP):
            return Overdue.NOT_YET
        return Overdue.GIVE_UP if decision.dispatch is None else Overdue.AGAIN

    def give_up(self, post_id: str, why: Failure) -> bool:
        """Nobody will publish it; false where it waits for nobody any more."""
        standing = self._standing(post_id)
        return standing is not None and self._store(rules.given_up(standing, why), failure=why)

    def write(self) -> list[OutboxMessage]:
        """Write what was decided; answers the messages of what goes out, and the events that tell of it."""
        self._uow.publications.store([self._rows[post_id] for post_id in self._changed])
        self._ended.write()
        return hand_out(self._orders(), self._uow, self._context) + self._events

    def _store(self, decision: PublicationDecision, *, failure: Failure | None = None) -> bool:
        if not decision.changed:
            return False
        standing = decision.publication
        row = self._rows[standing.post_id]
        before = row.publication
        self._rows[standing.post_id] = row = replace(
            row, publication=standing, updated_at=self._context.now, version=row.version + 1
        )
        self._changed.add(standing.post_id)
        self._ended.follow(WorkChange(before.work, standing.work, decision.dispatch, decision.withdraw, failure))
        if decision.dispatch is not None:
            self._dispatched.append(decision)
        if decision.event is not None:
            view, trace_id = publication_view(row), row.trace_id
            told = view_event(
                "publication", row.post_id, decision.event, view, trace_id=trace_id, context=self._context
            )
            self._events.append(told)
        return True

    def _orders(self) -> list[Order]:
        rows = [self._rows[decision.publication.post_id] for decision in self._dispatched]
        videos = self._uow.publications.video_urls(sorted({row.job_id for row in rows if row.job_id is not None}))
        scripts = scripts_for_work([row.script_id for row in rows], self._uow)
        needs = [_needs(row, videos.get(row.job_id or ""), scripts.get(row.script_id)) for row in rows]
        return [
            Order(SubjectKind.PUBLICATION, row.post_id, decision.dispatch, work, told, row.trace_id)
            for decision, row, told in zip(self._dispatched, rows, needs, strict=True)
            if decision.dispatch is not None and (work := decision.publication.work) is not None
        ]


def _said(accepted: Accepted) -> ContentSchedule:
    if not isinstance(accepted.payload, ContentSchedule):
        raise TypeError(f"{accepted.kind} is no schedule")
    return accepted.payload


def _row(accepted: Accepted, context: Context) -> StoredPublication:
    said = _said(accepted)
    return StoredPublication(
        publication=rules.scheduled(said.post_id, said.publish_at).publication,
        script_id=said.script_id,
        job_id=said.job_id,
        platform=said.platform,
        caption=said.caption,
        hashtags=tuple(said.hashtags),
        topic=said.topic,
        objective=said.objective,
        message_id=accepted.message_id,
        trace_id=accepted.trace_id,
        producer=accepted.producer,
        created_at=accepted.created_at,
        received_at=context.now,
        updated_at=context.now,
    )


def _event(name: str, row: StoredPublication, context: Context) -> OutboxMessage:
    view = publication_view(row)
    return view_event("publication", row.post_id, name, view, trace_id=row.trace_id, context=context)


def _needs(row: StoredPublication, video_url: str | None, script: JsonObject | None) -> dict[str, JsonValue]:
    return {
        "platform": row.platform,
        "publish_at": format_micros(row.publication.publish_at),
        "caption": row.caption,
        "hashtags": list(row.hashtags),
        "topic": row.topic,
        "video_url": video_url,
        "script": script,
    }
