"""Stories are read source by source, in one order, on both databases."""

from functools import partial

from sqlalchemy import text

from storage.engine.database import Database
from storage.questions.story_facts import StoryKey, StoryMark
from storage.questions.story_sources import SOURCES
from storage.unit_of_work import UnitOfWork
from tests.support import statements


def key_of(source: str) -> StoryKey:
    return StoryKey(source, "absent", "session.usage" if SOURCES[source].kind is not None else None)


async def test_every_source_is_read_from_the_start_and_from_every_sort_of_mark(database: Database) -> None:
    def read(uow: UnitOfWork) -> dict[str, list[int]]:
        found = {}
        for source in SOURCES:
            rank = SOURCES[source].rank
            marks = [None, *(StoryMark(5, each, "x") for each in (rank - 1, rank, rank + 1))]
            found[source] = [len(uow.stories.facts(key_of(source), after=mark, limit=3)) for mark in marks]
        return found

    assert await database.read(read) == {source: [0, 0, 0, 0] for source in SOURCES}


async def test_every_source_is_read_by_an_index(database: Database) -> None:
    def scans(uow: UnitOfWork) -> dict[str, str]:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = {}
        for source in SOURCES:
            [plan] = statements.plans(uow, partial(_read, source))
            if "Seq Scan" in plan or any(line.startswith("SCAN ") for line in plan.splitlines()):
                found[source] = plan
        return found

    assert await database.read(scans) == {}


def _read(source: str, uow: UnitOfWork) -> object:
    return uow.stories.facts(key_of(source), after=None, limit=3)


async def test_facts_of_one_moment_go_by_their_place_and_pages_repeat_nothing(database: Database) -> None:
    insert = text(
        "INSERT INTO job_events (job_id, version, actor, what, at, from_state, to_state, details, trace_id)"
        " VALUES ('j', :version, 'ada', 'run_requested', :at, 'UPLOADED', 'QUEUED', '{}', 't')"
    )
    rows = [{"version": number, "at": 7 if number < 12 else 8} for number in range(1, 14)]
    await database.write(lambda uow: uow.connection.execute(insert, rows))

    def pages(uow: UnitOfWork) -> list[object]:
        versions: list[object] = []
        mark: StoryMark | None = None
        while page := uow.stories.facts(StoryKey("job_events", "j"), after=mark, limit=4):
            versions += [fact.details["version"] for fact in page]
            mark = page[-1].mark
        return versions

    assert await database.read(pages) == list(range(1, 14))


async def test_an_id_is_found_wherever_it_stands(database: Database) -> None:
    await database.write(
        lambda uow: uow.connection.execute(
            text("INSERT INTO projects (project_id, owner, name, created_at) VALUES ('same', 'ada', 'films', 3)")
        )
    )
    await database.write(
        lambda uow: uow.connection.execute(
            text("INSERT INTO inbox (kind, message_id, payload_hash, received_at) VALUES ('feed.item', 'same', 'h', 9)")
        )
    )

    found = await database.read(lambda uow: uow.ids.find("same", ["feed.item", "session.usage"]))
    assert [(each.what, each.kind, each.at, each.label) for each in found] == [
        ("message", "feed.item", 9, "feed.item"),
        ("project", None, 3, "films"),
    ]
    assert await database.read(lambda uow: uow.ids.find("sam", ["feed.item"])) == []
