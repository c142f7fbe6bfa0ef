"""A trace finds the jobs that it moved, and each step of theirs that it took once."""

from collections.abc import Sequence

from sqlalchemy import text

from contracts.values.states import JobState
from domain.jobs.job import AuditEvent
from storage.engine.database import Database
from storage.jobs.jobs import StoredEvent
from storage.questions.story_facts import StoryKey
from storage.unit_of_work import UnitOfWork

Step = tuple[str, int, str]
"""Job, version, trace."""

FIRST: Sequence[Step] = (("a", 1, "t"), ("a", 2, "t"), ("b", 1, "t"), ("b", 2, "other"))
THEN: Sequence[Step] = (("a", 3, "t"), ("a", 4, "other"), ("b", 3, "t"), ("b", 4, "other"))


async def record(database: Database, steps: Sequence[Step]) -> None:
    def event(job_id: str, version: int) -> AuditEvent:
        return AuditEvent(job_id, version, "ada", "run_requested", version, JobState.UPLOADED, JobState.QUEUED, {})

    stored = [StoredEvent(event(job_id, version), trace) for job_id, version, trace in steps]
    await database.write(lambda uow: uow.jobs.add_events(stored))


async def found_by(database: Database, trace: str) -> list[tuple[object, object]]:
    def read(uow: UnitOfWork) -> list[tuple[object, object]]:
        facts = uow.stories.facts(StoryKey("job_events.by_trace", trace), after=None, limit=100)
        return [(fact.id, fact.details["version"]) for fact in facts]

    return sorted(await database.read(read), key=str)


async def test_a_trace_finds_its_steps_in_whatever_transactions_they_came(database: Database) -> None:
    await record(database, FIRST)
    await record(database, THEN)

    assert await found_by(database, "t") == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 3)]
    assert await found_by(database, "other") == [("a", 4), ("b", 2), ("b", 4)]
    assert await found_by(database, "T") == []


async def test_the_index_holds_a_trace_once_for_each_job(database: Database) -> None:
    await record(database, FIRST)
    await record(database, THEN)

    begins = text("SELECT job_id, version FROM job_events WHERE starts_trace = 1 ORDER BY job_id, version")
    rows = await database.read(lambda uow: [tuple(row) for row in uow.connection.execute(begins)])
    assert rows == [("a", 1), ("a", 4), ("b", 1), ("b", 2)]


async def test_steps_of_before_revision_0013_which_all_begin_their_trace_are_told_once(database: Database) -> None:
    await record(database, FIRST)
    await database.write(lambda uow: uow.connection.execute(text("UPDATE job_events SET starts_trace = 1")))
    await record(database, THEN)

    assert await found_by(database, "t") == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 3)]
    assert await database.read(lambda uow: [each.at for each in uow.ids.find("t", ["feed.item"])]) == [1]
