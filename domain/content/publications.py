"""The life of a publication: scheduled, dispatched when due, and then whatever the publisher reports."""

from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem, problem
from contracts.values.principals import SYSTEM
from contracts.values.states import PublicationState
from contracts.values.work import WorkType
from domain.backoff import delay_s
from domain.content.publication_states import EVENT_OF, PublicationSignal, next_state
from domain.work.work import (
    GAVE_UP,
    UNEXPLAINED,
    By,
    Dispatch,
    Failure,
    Overdue,
    Start,
    WorkInHand,
    handed_out,
    judge_deadline,
    once_more,
)


class Cancellation(Struct, frozen=True):
    """Who called a publication off, when, and why."""

    by: str
    at: int
    reason: str | None = None


class Publication(Struct, frozen=True):
    """A publication's standing. ``due_at`` is when it is to be dispatched: its ``publish_at``, later after a failure.

    ``attempt`` counts the work messages for it, ``failures`` the retryable failures since it was scheduled.
    """

    post_id: str
    publish_at: int
    due_at: int
    status: PublicationState = PublicationState.SCHEDULED
    attempt: int = 0
    failures: int = 0
    external_id: str | None = None
    error: Failure | None = None
    cancellation: Cancellation | None = None
    work: WorkInHand | None = None


class PublicationDecision(Struct, frozen=True):
    """A publication after a decision; ``changed`` is false where there is nothing to store."""

    publication: Publication
    changed: bool = True
    dispatch: Dispatch | None = None
    withdraw: str | None = None
    event: str | None = None
    """What listeners are told of it."""


PublicationRuling: TypeAlias = PublicationDecision | Problem


class RetryTerms(Struct, frozen=True):
    """How often a retryable failure is tried again, and how long between; ``chance`` is uniform in [0, 1)."""

    max_attempts: int
    first_s: float
    most_s: float
    chance: float


def scheduled(post_id: str, publish_at: int) -> PublicationDecision:
    return PublicationDecision(Publication(post_id, publish_at, publish_at))


def rescheduled(publication: Publication, publish_at: int) -> PublicationRuling:
    """A schedule changes only while nothing went out."""
    target = next_state(publication.status, PublicationSignal.RESCHEDULED)
    if target is None:
        return NOT_SCHEDULED
    return PublicationDecision(replace(publication, status=target, publish_at=publish_at, due_at=publish_at))


def dispatch_due(publication: Publication, start: Start, by: By) -> PublicationDecision:
    """Hand out what is due; what is not, or is out already, stays as it is."""
    target = next_state(publication.status, PublicationSignal.DUE)
    if target is None or publication.due_at > by.at:
        return PublicationDecision(publication, changed=False)
    work = WorkInHand(start.work_id, WorkType.PUBLISH, by.at)
    out = _handed_out(replace(publication, status=target), work, start.deadline_s, by)
    return replace(out, event=EVENT_OF.get(target))


def published(publication: Publication, external_id: str | None) -> PublicationRuling:
    """The publisher reports success."""
    target = next_state(publication.status, PublicationSignal.PUBLISHED)
    if target is None:
        return _no_result_expected(publication)
    done = replace(publication, status=target, external_id=external_id, error=None, work=None)
    return PublicationDecision(done, event=EVENT_OF.get(target))


def failed(publication: Publication, failure: Failure | None, terms: RetryTerms, by: By) -> PublicationRuling:
    """The publisher reports failure: a retryable one is tried again after a growing delay, others are final."""
    why = failure or UNEXPLAINED
    again = why.retryable and publication.failures < terms.max_attempts
    target = next_state(publication.status, PublicationSignal.FAILED_FOR_NOW if again else PublicationSignal.FAILED)
    if target is None:
        return _no_result_expected(publication)
    ended = replace(publication, status=target, error=why, work=None)
    if not again:
        return PublicationDecision(ended, event=EVENT_OF.get(target))
    wait_s = delay_s(publication.failures, first_s=terms.first_s, most_s=terms.most_s, chance=terms.chance)
    return PublicationDecision(replace(ended, failures=publication.failures + 1, due_at=by.in_seconds(wait_s)))


def cancel(publication: Publication, by: By, reason: str | None) -> PublicationRuling:
    """Only what has not gone out can be called off; again changes nothing, and who did it first stays."""
    if publication.status is PublicationState.CANCELLED:
        return PublicationDecision(publication, changed=False)
    target = next_state(publication.status, PublicationSignal.CANCEL_REQUESTED)
    if target is None:
        return NOT_SCHEDULED
    called_off = replace(publication, status=target, cancellation=Cancellation(by.actor, by.at, reason))
    return PublicationDecision(called_off, event=EVENT_OF.get(target))


def replayed(publication: Publication, by: By) -> PublicationDecision:
    """A failed publication is scheduled again, due now."""
    target = next_state(publication.status, PublicationSignal.REPLAYED)
    if target is None:
        return PublicationDecision(publication, changed=False)
    return PublicationDecision(replace(publication, status=target, due_at=by.at, failures=0, error=None))


def overdue(publication: Publication, *, at: int, deadline_s: float, max_attempts: int) -> PublicationDecision:
    """Hand out again what a publisher did not answer in time, at most ``max_attempts`` times, then it has failed."""
    work, ruling = publication.work, judge_deadline(publication.work, at=at, max_attempts=max_attempts)
    if work is None or publication.status is not PublicationState.DISPATCHED or ruling is Overdue.NOT_YET:
        return PublicationDecision(publication, changed=False)
    if ruling is Overdue.GIVE_UP:
        return given_up(publication, GAVE_UP)
    return replace(_handed_out(publication, once_more(work), deadline_s, By(SYSTEM, at)), withdraw=work.work_id)


def given_up(publication: Publication, why: Failure) -> PublicationDecision:
    """Nobody will do the work of the publication: it has failed for *why*. What may lie in the queue is to be
    withdrawn."""
    target = next_state(publication.status, PublicationSignal.GAVE_UP)
    if publication.work is None or target is None:
        return PublicationDecision(publication, changed=False)
    ended = replace(publication, status=target, error=why, work=None)
    return PublicationDecision(ended, withdraw=publication.work.work_id, event=EVENT_OF.get(target))


def _handed_out(publication: Publication, work: WorkInHand, deadline_s: float, by: By) -> PublicationDecision:
    given = handed_out(work, publication.attempt, deadline_s, by)
    out = replace(publication, attempt=given.attempt, work=given.work)
    return PublicationDecision(out, dispatch=given.dispatch)


def _no_result_expected(publication: Publication) -> Problem:
    return problem(ErrorCode.INVALID_TRANSITION, f"no result is expected while the publication is {publication.status}")


NOT_SCHEDULED: Final = problem(ErrorCode.INVALID_STATE, "the publication is no longer scheduled")
