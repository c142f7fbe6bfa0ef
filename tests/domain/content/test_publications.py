"""The life of a publication."""

import pytest
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem
from contracts.values.states import PublicationState
from contracts.values.work import WorkType
from domain.content import publications
from domain.content.publications import Publication, PublicationDecision, PublicationRuling, RetryTerms
from domain.work.work import By, Failure, WorkInHand
from tests.domain.jobs.job_factory import NOW, SECOND, START

SYSTEM = By("system", NOW)
TERMS = RetryTerms(max_attempts=2, first_s=60, most_s=600, chance=0.5)
FOR_NOW = Failure("BUSY", "later", retryable=True)
FOR_GOOD = Failure("BANNED", "never", retryable=False)


def a_publication(status: PublicationState) -> Publication:
    out = status is PublicationState.DISPATCHED
    work = WorkInHand("work-0", WorkType.PUBLISH, NOW + 10 * SECOND) if out else None
    return Publication("post-1", NOW, NOW, status, attempt=1, work=work)


def decided(ruling: PublicationRuling) -> PublicationDecision:
    assert isinstance(ruling, PublicationDecision), ruling
    return ruling


def refused(ruling: PublicationRuling, code: ErrorCode) -> None:
    assert isinstance(ruling, Problem)
    assert ruling.code is code


def test_a_schedule_is_handed_out_when_it_is_due_and_not_before() -> None:
    waiting = publications.scheduled("post-1", NOW + 1).publication
    assert not publications.dispatch_due(waiting, START, SYSTEM).changed
    due = publications.dispatch_due(waiting, START, By("system", NOW + 1))
    assert due.publication.status is PublicationState.DISPATCHED
    assert due.dispatch is not None
    assert (due.dispatch.type, due.dispatch.attempt) == (WorkType.PUBLISH, 1)
    assert not publications.dispatch_due(due.publication, START, By("system", NOW + 2)).changed


@pytest.mark.parametrize("state", PublicationState)
def test_only_what_is_scheduled_is_changed_or_cancelled(state: PublicationState) -> None:
    publication = a_publication(state)
    if state is PublicationState.SCHEDULED:
        assert decided(publications.rescheduled(publication, NOW + 5)).publication.due_at == NOW + 5
        assert decided(publications.cancel(publication, SYSTEM, "wrong day")).publication.status == "cancelled"
        return
    refused(publications.rescheduled(publication, NOW + 5), ErrorCode.INVALID_STATE)
    if state is PublicationState.CANCELLED:
        assert not decided(publications.cancel(publication, SYSTEM, "late")).changed
    else:
        refused(publications.cancel(publication, SYSTEM, "late"), ErrorCode.INVALID_STATE)


@pytest.mark.parametrize("state", PublicationState)
def test_a_result_counts_only_while_the_post_is_out(state: PublicationState) -> None:
    rulings = [
        publications.published(a_publication(state), "x-1"),
        publications.failed(a_publication(state), FOR_GOOD, TERMS, SYSTEM),
        publications.failed(a_publication(state), FOR_NOW, TERMS, SYSTEM),
    ]
    if state is PublicationState.DISPATCHED:
        assert [decided(ruling).publication.status for ruling in rulings] == ["published", "failed", "scheduled"]
        assert [decided(ruling).publication.work for ruling in rulings] == [None, None, None]
        return
    for ruling in rulings:
        refused(ruling, ErrorCode.INVALID_TRANSITION)


def test_a_success_keeps_the_platforms_id() -> None:
    done = decided(publications.published(a_publication(PublicationState.DISPATCHED), "x-1"))
    assert done.publication.external_id == "x-1"


def test_a_retryable_failure_waits_longer_each_time_and_is_final_in_the_end() -> None:
    publication, waits = a_publication(PublicationState.DISPATCHED), []
    while True:
        after = decided(publications.failed(publication, FOR_NOW, TERMS, SYSTEM)).publication
        if after.status is PublicationState.FAILED:
            break
        waits.append((after.due_at - NOW) / SECOND)
        publication = publications.dispatch_due(after, START, By("system", after.due_at)).publication
    assert waits == [45, 90]
    assert publication.attempt == 3


def test_a_failure_without_a_reason_is_final_and_says_so() -> None:
    after = decided(publications.failed(a_publication(PublicationState.DISPATCHED), None, TERMS, SYSTEM)).publication
    assert (after.status, after.error and after.error.code) == (PublicationState.FAILED, "UNEXPLAINED")


@pytest.mark.parametrize("state", PublicationState)
def test_only_a_failed_publication_is_replayed_and_then_due_at_once(state: PublicationState) -> None:
    failed = replace(a_publication(state), failures=2, error=FOR_NOW)
    decision = publications.replayed(failed, By("system", NOW + 9))
    assert decision.changed == (state is PublicationState.FAILED)
    if decision.changed:
        again = decision.publication
        assert (again.status, again.due_at, again.failures, again.error) == ("scheduled", NOW + 9, 0, None)


def test_a_publisher_that_stays_silent_is_asked_again_and_then_given_up() -> None:
    at = NOW + 20 * SECOND
    again = publications.overdue(a_publication(PublicationState.DISPATCHED), at=at, deadline_s=60, max_attempts=1)
    assert (again.withdraw, again.publication.attempt) == ("work-0", 2)
    ended = publications.overdue(again.publication, at=at + 60 * SECOND, deadline_s=60, max_attempts=1)
    assert (ended.publication.status, ended.publication.work) == (PublicationState.FAILED, None)
    assert not publications.overdue(ended.publication, at=at * 2, deadline_s=60, max_attempts=1).changed


def test_who_called_a_publication_off_first_stays() -> None:
    first = decided(publications.cancel(publications.scheduled("post-1", NOW).publication, By("ada", NOW), "wrong day"))
    again = decided(publications.cancel(first.publication, By("bob", NOW + 1), "also"))

    assert first.event == "cancelled"
    assert (again.event, again.publication.cancellation) == (None, publications.Cancellation("ada", NOW, "wrong day"))
