"""Ideas and scripts: taken in in any order, read by commands, and told to whoever works from them."""

from collections.abc import Callable

import orjson
import pytest

from handlers.batch import decide_batch
from handlers.commands.command_batch import execute_commands
from handlers.content.publications import send_due
from handlers.effects import Verdict
from handlers.registry import CHANGES, FAMILIES
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope, idea, script
from tests.handlers.deciding import NOW, Stream, context, outcomes, settled, waiting
from tests.handlers.jobs.owners import House, code, command, report, result
from tests.support import statements

SCENES = script()["scenes"]
TOLD = {"script_id": "script-1", "title": "The harbour door", "body": script()["body"], "duration_s": 30}
TOLD |= {"scenes": SCENES}


def minute(number: int) -> str:
    return f"2026-11-20T10:{number:02d}:00Z"


class Producer:
    """Publishes ideas and scripts, one batch for each call."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stream = Stream()
        self._count = 0

    async def send(self, *payloads: Json, at: int = 0) -> None:
        await self.send_at(*((payload, at) for payload in payloads))

    async def send_at(self, *said: tuple[Json, int]) -> None:
        """Payloads, each with the minute in which it was made."""
        batch = []
        for payload, at in said:
            self._count += 1
            kind = "content.script" if "script_id" in payload else "content.idea"
            body = envelope(payload, kind, "1.0", message_id=f"p:{self._count}", created_at=minute(at))
            batch.append(self._stream.deliver(body, kind))
        for outcome in await outcomes(self._database, batch):
            assert outcome.verdict is Verdict.ACCEPTED


async def test_an_idea_and_a_script_are_read_as_they_were_said(database: Database) -> None:
    house = House(database)
    await Producer(database).send(idea(), script(), at=7)

    found = result(await house.ask("idea.get", {"idea_id": "idea-1"}))
    written = result(await house.ask("script.get", {"script_id": "script-1"}))

    assert {name: found[name] for name in idea()} == idea()
    assert found["newest_scripts"] == [
        {"script_id": "script-1", "title": "The harbour door", "created_at": "2026-11-20T10:07:00.000000Z"}
    ]
    assert {name: written[name] for name in script()} == script()
    assert written["idea"] == {name: value for name, value in found.items() if name != "newest_scripts"}
    assert (written["producer"], written["message_id"]) == ("planner-7", "p:2")


async def test_a_script_may_come_before_its_idea_and_has_it_when_it_comes(database: Database) -> None:
    house, producer = House(database), Producer(database)
    await producer.send(script())
    alone = result(await house.ask("script.get", {"script_id": "script-1"}))

    await producer.send(idea())

    together = result(await house.ask("script.get", {"script_id": "script-1"}))
    assert (alone["idea_id"], alone["idea"]) == ("idea-1", None)
    assert together["idea"]["hook"] == idea()["hook"]


async def test_of_one_id_the_newest_message_counts_in_one_batch_and_across_batches(database: Database) -> None:
    house, producer = House(database), Producer(database)
    await producer.send_at((idea(hook="a"), 2), (idea(hook="b"), 3), (idea(hook="c"), 1), (idea(hook="d"), 3))
    await producer.send_at((script(body="a"), 5), (script(body="b"), 4))
    first = result(await house.ask("idea.get", {"idea_id": "idea-1"}))

    await producer.send_at((idea(hook="older"), 2), (script(body="newer", scenes=[]), 6))

    again = result(await house.ask("idea.get", {"idea_id": "idea-1"}))
    written = result(await house.ask("script.get", {"script_id": "script-1"}))
    assert (first["hook"], again["hook"]) == ("b", "b")
    assert (written["body"], written["scenes"]) == ("newer", [])


@pytest.mark.parametrize(
    ("name", "asked"), [("idea.get", {"idea_id": "nowhere"}), ("script.get", {"script_id": "nowhere"})]
)
async def test_what_is_absent_is_not_found_in_the_same_bytes(database: Database, name: str, asked: Json) -> None:
    house = House(database)
    await Producer(database).send(idea(), script())

    refused = await house.ask(name, asked)
    absent_job = await house.ask("job.get", {"job_id": "nowhere"})

    assert code(refused) == "RESOURCE_NOT_FOUND"
    assert refused.problem is not None
    assert absent_job.problem is not None
    assert orjson.dumps(refused.problem.as_json()) == orjson.dumps(absent_job.problem.as_json())


async def walk(house: House, name: str, asked: Json, key: str) -> list[list[str]]:
    """The ids that a list has, page by page."""
    pages: list[list[str]] = []
    following: Json = {}
    while following is not None:
        answered = result(await house.ask(name, {**asked, **following}))
        assert set(answered) == {"items", "next_cursor"}
        pages.append([item[key] for item in answered["items"]])
        following = None if answered["next_cursor"] is None else {"cursor": answered["next_cursor"]}
    return pages


@pytest.mark.parametrize(
    ("name", "key", "make"), [("idea.list", "idea_id", idea), ("script.list", "script_id", script)]
)
async def test_lists_come_in_pages_newest_first(database: Database, name: str, key: str, make: Json) -> None:
    house, producer = House(database), Producer(database)
    await producer.send_at(*((make(**{key: each}), at) for each, at in zip("abcde", (1, 3, 3, 4, 2), strict=True)))

    assert await walk(house, name, {"limit": 2}, key) == [["d", "c"], ["b", "e"], ["a"]]
    assert await walk(house, name, {"from": minute(2), "to": minute(4)}, key) == [["c", "b", "e"]]
    assert await walk(house, name, {"from": minute(9)}, key) == [[]]


async def test_an_item_of_a_list_is_whole(database: Database) -> None:
    house = House(database)
    await Producer(database).send(script())

    (item,) = result(await house.ask("script.list", {}))["items"]

    assert {name: item[name] for name in script()} == script()


@pytest.mark.parametrize("name", ["idea.list", "script.list"])
async def test_a_cursor_of_another_list_is_refused(database: Database, name: str) -> None:
    house, producer = House(database), Producer(database)
    await producer.send(idea(idea_id="a"), idea(idea_id="b"), script(script_id="a"), script(script_id="b"))
    other = "script.list" if name == "idea.list" else "idea.list"
    given = result(await house.ask(other, {"limit": 1}))["next_cursor"]

    reply = await house.ask(name, {"cursor": given})

    assert reply.problem is not None
    assert [detail.path for detail in reply.problem.details] == ["payload.cursor"]


async def test_only_the_newest_scripts_stand_beside_an_idea(database: Database) -> None:
    house, producer = House(database), Producer(database)
    await producer.send(idea(), *(script(script_id=f"s{number:03d}") for number in range(60)))

    found = result(await house.ask("idea.get", {"idea_id": "idea-1"}))

    assert [each["script_id"] for each in found["newest_scripts"]] == [f"s{number:03d}" for number in range(59, 9, -1)]


async def test_a_batch_takes_as_many_statements_as_one_message(database: Database) -> None:
    """Settled with everything around it, ideas and scripts together."""
    stream = Stream()

    async def sent(first: int, count: int) -> int:
        batch = [
            stream.deliver(envelope(made, kind, "1.0", message_id=f"m{number}"), kind)
            for number in range(first, first + count)
            for kind, made in (
                ("content.idea", idea(idea_id=f"i{number}")),
                ("content.script", script(script_id=f"s{number}", idea_id=f"i{number}")),
            )
        ]

        def work(uow: UnitOfWork) -> int:
            with statements.recorded(uow) as seen:
                decide_batch(batch, uow, context(), FAMILIES)
            return len(seen)

        return await database.write(work)

    assert await sent(0, 1) == await sent(1, 200)


# -- work


async def orders(house: House) -> list[Json]:
    return [message["payload"] for message in await house.told("HG_WORK")]


async def from_script(house: House, script_id: str = "script-1") -> str:
    return await house.job(prompt=None, script_id=script_id)


async def test_a_job_from_a_script_hands_the_script_to_its_worker(database: Database) -> None:
    house = House(database)
    await Producer(database).send(idea(), script())
    job_id = await from_script(house)
    assert (await house.view(job_id))["status"] == "UPLOADED"

    assert (await house.give("job.run", {"job_id": job_id})).status == 202

    (order,) = await orders(house)
    assert order["script"] == TOLD
    assert not {"prompt", "video_uri"} & set(order)


async def test_a_script_may_come_after_the_job_and_counts_as_it_is_when_the_job_is_run(database: Database) -> None:
    house, producer = House(database), Producer(database)
    job_id = await from_script(house)
    await producer.send_at((script(body="first"), 1))
    await producer.send_at((script(body="second"), 2))

    await house.give("job.run", {"job_id": job_id})

    (order,) = await orders(house)
    assert order["script"] == TOLD | {"body": "second"}


async def test_work_that_goes_out_before_its_script_has_none_and_has_it_the_next_time(database: Database) -> None:
    house = House(database)
    job_id = await from_script(house)
    await house.give("job.run", {"job_id": job_id})
    failure = {"code": "SCRIPT_MISSING", "message": "nothing to work on", "retryable": True}
    (told,) = await house.decide_batch([house.delivery(job_id, report(1, "FAILED", failure=failure))])
    assert told.error is None
    await Producer(database).send(script())

    assert (await house.give("job.retry", {"job_id": job_id})).status == 202

    first, second = await orders(house)
    assert "script" not in first
    assert second["script"] == TOLD


async def test_jobs_that_are_run_together_read_their_scripts_together(database: Database) -> None:
    house = House(database)
    project_id = await house.project()
    names = [f"s{number}" for number in range(20)]
    await Producer(database).send(*(script(script_id=name) for name in names))
    jobs = [await house.job(project_id=project_id, prompt=None, script_id=name) for name in names]
    prompted = await house.job(project_id=project_id)

    commands = [command("job.run", {"job_id": job_id}) for job_id in [*jobs, prompted]]

    assert await reads_of_scripts(database, lambda uow: execute_commands(commands, uow, house.context(), CHANGES)) == 1

    handed = {order["job_id"]: order.get("script", {}).get("script_id") for order in await orders(house)}
    assert handed == dict(zip(jobs, names, strict=True)) | {prompted: None}


async def reads_of_scripts(database: Database, work: Callable[[UnitOfWork], object]) -> int:
    """How many statements of *work* read scripts."""

    def count(uow: UnitOfWork) -> int:
        with statements.recorded(uow) as seen:
            work(uow)
        return sum("FROM scripts" in statement for statement, _ in seen)

    return await database.write(count)


def schedule(post_id: str, **more: Json) -> Json:
    payload = {"post_id": post_id, "platform": "site", "publish_at": minute(0), "caption": "Look", "hashtags": []}
    return envelope(payload | more, "content.schedule", "1.0", message_id=f"schedule:{post_id}")


async def test_a_publication_carries_its_script_where_there_is_one(database: Database) -> None:
    stream = Stream()
    posts = {"a": "script-1", "b": "script-2", "c": "unknown", "d": None}
    await settled(
        database,
        [stream.deliver(schedule(post, script_id=script_id), "content.schedule") for post, script_id in posts.items()],
    )
    await Producer(database).send(script(), script(script_id="script-2", body="other"))

    assert await reads_of_scripts(database, lambda uow: send_due(uow, context(now=NOW), limit=10)) == 1

    sent = [orjson.loads(message.body)["payload"] for message in await waiting(database, "HG_WORK")]
    assert {order["post_id"]: order.get("script") for order in sent} == {
        "a": TOLD,
        "b": TOLD | {"script_id": "script-2", "body": "other"},
        "c": None,
        "d": None,
    }
