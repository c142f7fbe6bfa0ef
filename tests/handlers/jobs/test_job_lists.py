"""Lists in parts: stable while things are added, ended early where a page would be too large."""

import orjson
import pytest
from msgspec.structs import replace

from contracts.errors import JsonObject, Refusal
from handlers.commands.command import answer
from handlers.commands.pages import cursor, page, read_cursor, read_place, shortened
from handlers.registry import QUERIES
from storage.engine.database import Database
from tests.handlers.deciding import context
from tests.handlers.jobs.owners import SEGMENTS, House, Json, command, result


async def everything(house: House, name: str, asked: Json, *, meanwhile: int = 0) -> list[Json]:
    """All items of a list, page by page; between two pages *meanwhile* jobs are made in the same project."""
    items: list[Json] = []
    following: str | None = None
    while True:
        more = {} if following is None else {"cursor": following}
        answered = result(await house.ask(name, {**asked, **more}))
        items += answered["items"]
        following = answered["next_cursor"]
        if following is None:
            return items
        for _ in range(meanwhile):
            await house.job(project_id=asked["project_id"])


async def test_pages_hold_every_job_once_newest_first_whatever_is_added_meanwhile(database: Database) -> None:
    house = House(database)
    project_id = await house.project()
    made = [await house.job(project_id=project_id) for _ in range(7)]

    listed = await everything(house, "job.list", {"project_id": project_id, "limit": 2}, meanwhile=3)

    assert [item["job_id"] for item in listed] == made[::-1]


async def test_jobs_are_listed_by_status(database: Database) -> None:
    house = House(database)
    project_id = await house.project()
    waiting = [await house.job(project_id=project_id) for _ in range(3)]
    running = await house.running(project_id=project_id)

    by_status = {
        status: await everything(house, "job.list", {"project_id": project_id, "status": status, "limit": 1})
        for status in ("UPLOADED", "QUEUED", "DONE")
    }

    assert [item["job_id"] for item in by_status["UPLOADED"]] == waiting[::-1]
    assert [item["job_id"] for item in by_status["QUEUED"]] == [running]
    assert by_status["DONE"] == []


async def test_projects_history_and_transcript_come_in_pages(database: Database) -> None:
    house = House(database)
    job_id = await house.drafted()
    projects = [await house.project() for _ in range(3)]

    listed = await everything(house, "project.list", {"limit": 1})
    history = await everything(house, "job.history", {"job_id": job_id, "limit": 2})
    transcript = await everything(house, "job.transcript", {"job_id": job_id, "limit": 1})

    assert [item["project_id"] for item in listed][:3] == projects[::-1]
    assert [item["version"] for item in history] == [6, 5, 4, 3, 2]
    assert [item["segment"] for item in transcript] == [1, 2, 3]
    assert [item["text"] for item in transcript] == [segment["text"] for segment in SEGMENTS]


@pytest.mark.parametrize(
    "given", ["nonsense", cursor("projects", "x"), cursor("jobs", 1), cursor("jobs", "x", "y"), "bnVsbA"]
)
async def test_a_cursor_that_the_list_did_not_give_is_refused(database: Database, given: str) -> None:
    house = House(database)
    project_id = await house.project()

    reply = await house.ask("job.list", {"project_id": project_id, "cursor": given})

    assert reply.problem is not None
    assert (reply.status, reply.problem.details[0].path) == (400, "payload.cursor")


async def test_a_page_ends_where_the_reply_would_pass_half_of_what_the_server_takes(database: Database) -> None:
    house = House(database)
    project_id = await house.project()
    made = [await house.job(project_id=project_id) for _ in range(6)]
    asked = command("job.list", {"project_id": project_id})
    small = replace(house.context(), max_message_bytes=3_000)

    reply = await database.read(lambda uow: answer(QUERIES["job.list"], asked, uow, small))

    answered = result(reply)
    assert [item["job_id"] for item in answered["items"]] == made[::-1][: len(answered["items"])]
    assert 0 < len(answered["items"]) < 6
    assert answered["next_cursor"] is not None
    assert len(orjson.dumps(answered)) < 1_700


def test_one_item_that_is_too_large_comes_alone_and_cut() -> None:
    texts = ["é" * 5_000, "short"]

    def view(text: str) -> JsonObject:
        return {"text": text}

    whole = page(texts, 2, view, lambda text: cursor("texts", text[:1]), context(max_message_bytes=2_000))

    items = whole["items"]
    assert isinstance(items, list)
    (item,) = items
    assert isinstance(item, dict)
    assert item["truncated"] is True
    assert len(orjson.dumps(item)) <= 1_000
    assert read_cursor("texts", str(whole["next_cursor"]), str) == ("é",)


@pytest.mark.parametrize(
    "large",
    [
        {"result": "\x07" * 5_000},
        {"result": {"errors": [{"line": number, "error": "x" * 50} for number in range(500)], "read": 7}},
        {"parameters": {f"name-{number}": number for number in range(5_000)}},
        {"parameters": {"ids": ["an id"] * 2_000, "all": False}, "error": {"message": "m" * 9_000}},
    ],
)
def test_of_what_is_too_large_its_largest_part_is_cut_and_never_who_it_is(large: JsonObject) -> None:
    run: JsonObject = {"run_id": "0196", "status": "succeeded", "started_at": "2026-11-20", **large}

    cut = shortened(run, 1_000)

    assert len(orjson.dumps(cut)) <= 1_000
    assert cut["truncated"] is True
    assert (cut["run_id"], cut["status"], cut["started_at"]) == ("0196", "succeeded", "2026-11-20")
    for name in large:
        assert cut[name], "its beginning is told"


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
async def test_a_cursor_with_a_number_that_no_database_bears_is_refused(database: Database, number: int) -> None:
    house = House(database)
    job_id = await house.drafted()

    history = await house.ask("job.history", {"job_id": job_id, "cursor": cursor("history", number)})
    transcript = await house.ask("job.transcript", {"job_id": job_id, "cursor": cursor("transcript", 1, number, 1, 1)})

    assert (history.status, transcript.status) == (400, 400)


async def test_a_cursor_with_a_character_that_no_database_bears_is_refused(database: Database) -> None:
    reply = await House(database).ask("project.list", {"cursor": cursor("projects", "a\0b")})

    assert reply.status == 400


def test_a_place_that_is_counted_is_neither_negative_nor_beyond_every_list() -> None:
    assert read_place("things", cursor("things", 7)) == 7
    assert read_place("things", None) == 0
    for place in (-1, 2**31, 2**63 - 1):
        with pytest.raises(Refusal):
            read_place("things", cursor("things", place))


def test_a_cursor_is_read_as_it_was_made() -> None:
    assert read_cursor("things", cursor("things", "a.b", 7), str, int) == ("a.b", 7)
    assert read_cursor("things", None, str) is None
    with pytest.raises(Refusal):
        read_cursor("things", cursor("things", 7), str)
