"""Ideas and scripts: of each the newest message stays, and lists go from the newest on."""

import asyncio
from typing import Any

import pytest

from storage.content.ideas_and_scripts import Idea, Script, ScriptTitle
from storage.content.pages import Mark, Period
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from tests.support import statements
from tests.support.databases import opened


def idea(idea_id: str = "i", **changed: Any) -> Idea:
    return Idea(idea_id, "topic", "reach", "hook", "short", "m", "t", "p", 10, 11, 12)._replace(**changed)


def script(script_id: str = "s", **changed: Any) -> Script:
    return Script(script_id, "i", "title", "body", 30, "[]", "m", "t", "p", 10, 11, 12)._replace(**changed)


async def put(database: Database, *rows: Idea | Script) -> None:
    def write(uow: UnitOfWork) -> None:
        uow.ideas.upsert([row for row in rows if isinstance(row, Idea)])
        uow.scripts.upsert([row for row in rows if isinstance(row, Script)])

    await database.write(write)


async def stored_idea(database: Database, idea_id: str) -> Idea | None:
    return await database.read(lambda uow: uow.ideas.get(idea_id))


async def test_what_is_new_is_kept_whole(database: Database) -> None:
    await put(database, idea("a"), idea("b", hook="é\n"), script("x", duration_s=2**53 - 1, scenes='[{"text": "A"}]'))

    assert await stored_idea(database, "a") == idea("a")
    assert await stored_idea(database, "b") == idea("b", hook="é\n")
    assert await stored_idea(database, "c") is None
    found = await database.read(lambda uow: uow.scripts.get_many(["x", "nowhere"]))
    assert found == {"x": script("x", duration_s=2**53 - 1, scenes='[{"text": "A"}]')}


async def test_only_a_newer_message_changes_an_idea_and_the_first_arrival_stays(database: Database) -> None:
    await put(database, idea("a"), idea("b"), idea("c"))

    await put(
        database,
        idea("a", hook="newer", message_id="n", created_at=20, received_at=30, updated_at=30),
        idea("b", hook="older", created_at=9, received_at=30, updated_at=30),
        idea("c", hook="as new", created_at=10, received_at=30, updated_at=30),
    )

    assert await stored_idea(database, "a") == idea("a", hook="newer", message_id="n", created_at=20, updated_at=30)
    assert await stored_idea(database, "b") == idea("b")
    assert await stored_idea(database, "c") == idea("c")


async def test_only_a_newer_message_changes_a_script_and_it_may_move_it_to_another_idea(database: Database) -> None:
    await put(database, script("a"), script("b"))

    await put(
        database,
        script("a", idea_id="j", body="newer", scenes="[1]", created_at=20, received_at=30, updated_at=30),
        script("b", body="older", created_at=9, received_at=30, updated_at=30),
    )

    found = await database.read(lambda uow: uow.scripts.get_many(["a", "b"]))
    assert found["a"] == script("a", idea_id="j", body="newer", scenes="[1]", created_at=20, updated_at=30)
    assert found["b"] == script("b")
    assert await database.read(lambda uow: uow.scripts.newest_of_idea("i", limit=5)) == [ScriptTitle("b", "title", 10)]


async def test_the_newest_message_stays_whichever_daemon_writes_last(database: Database, database_url: str) -> None:
    async with opened(database_url) as other:
        await asyncio.gather(
            *(put(each, idea("a", hook=str(at), created_at=at)) for each in (database, other) for at in range(10))
        )

    stored = await stored_idea(database, "a")
    assert stored is not None
    assert (stored.hook, stored.created_at) == ("9", 9)


async def test_the_scripts_of_an_idea_are_there_before_the_idea_newest_first(database: Database) -> None:
    await put(database, script("a", created_at=1), script("b", created_at=3), script("c", created_at=3))
    await put(database, script("d", idea_id="j", created_at=9))

    found = await database.read(lambda uow: uow.scripts.newest_of_idea("i", limit=2))

    assert [title.script_id for title in found] == ["c", "b"]


async def pages(database: Database, within: Period) -> list[list[str]]:
    """The ids of all scripts of a time, two at a time."""

    def walk(uow: UnitOfWork) -> list[list[str]]:
        found: list[list[str]] = []
        before: Mark | None = None
        while rows := uow.scripts.page(within, before=before, limit=2):
            found.append([row.script_id for row in rows])
            before = (rows[-1].created_at, rows[-1].script_id)
        return found

    return await database.read(walk)


async def test_lists_go_from_the_newest_on_and_hold_each_once(database: Database) -> None:
    await put(database, *(script(name, created_at=at) for name, at in zip("abcde", (5, 7, 7, 7, 9), strict=True)))
    await put(database, idea("a", created_at=1), idea("b", created_at=2))

    assert await pages(database, Period()) == [["e", "d"], ["c", "b"], ["a"]]
    ideas = await database.read(lambda uow: uow.ideas.page(Period(), before=(2, "b"), limit=5))
    assert [row.idea_id for row in ideas] == ["a"]


async def test_a_time_begins_with_its_start_and_ends_before_its_end(database: Database) -> None:
    await put(database, *(script(name, created_at=at) for name, at in zip("abcd", (1, 2, 3, 4), strict=True)))

    assert await pages(database, Period(since=2, until=4)) == [["c", "b"]]
    assert await pages(database, Period(since=4)) == [["d"]]
    assert await pages(database, Period(until=2)) == [["a"]]
    assert await pages(database, Period(since=3, until=3)) == []


async def test_a_thousand_take_as_many_statements_as_one(database: Database) -> None:
    def work(uow: UnitOfWork) -> list[int]:
        counts = []
        for count in (1, 1_000):
            names = [f"{number:04d}" for number in range(count)]
            with statements.recorded(uow) as seen:
                uow.ideas.upsert([idea(name) for name in names])
                uow.scripts.upsert([script(name) for name in names])
                uow.scripts.get_many(names)
            counts.append(len(seen))
        return counts

    assert await database.write(work) == [3, 3]


READS = {
    "ideas.get": lambda uow: uow.ideas.get("i7"),
    "ideas.page": lambda uow: uow.ideas.page(Period(5, 900), before=(800, "i800"), limit=5),
    "scripts.of": lambda uow: uow.scripts.get_many(["s1", "s2"]),
    "scripts.page": lambda uow: uow.scripts.page(Period(), before=None, limit=5),
    "scripts.newest_of_idea": lambda uow: uow.scripts.newest_of_idea("i7", limit=5),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
async def test_rows_are_found_by_an_index_and_come_in_its_order(database: Database, read: Any) -> None:
    count = 2_000
    ideas = [idea(f"i{number}", created_at=number) for number in range(count)]
    await put(database, *ideas, *(script(f"s{number}", idea_id=f"i{number % 100}") for number in range(count)))

    def plans(uow: UnitOfWork) -> list[str]:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # read whole only what has no index
        return statements.plans(uow, read)

    (plan,) = await database.write(plans)
    assert "Seq Scan on" not in plan
    assert "SCAN ideas\n" not in f"{plan}\n"
    assert "SCAN scripts\n" not in f"{plan}\n"
    assert "TEMP B-TREE" not in plan
