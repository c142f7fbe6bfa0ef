"""Instructions: versions that never change, written on top of what was read."""

import asyncio

from contracts.errors import ErrorCode
from handlers.commands.command import Reply
from storage.engine.database import Database
from storage.engine.failures import StorageConflict
from tests.handlers.jobs.owners import BLOCKS, House, Json, code, result

EDITED = [BLOCKS[0], {"block_id": "b2", "type": "step", "text": "Close the door"}]


async def drafted(house: House) -> tuple[str, str]:
    """A job that awaits approval, and its instruction."""
    job_id = await house.drafted()
    return job_id, str((await house.view(job_id))["instruction_id"])


async def put(house: House, instruction_id: str, base_version: int, blocks: Json = EDITED, **more: str) -> Reply:
    payload = {"instruction_id": instruction_id, "base_version": base_version, "blocks": blocks}
    return await house.give("instruction.put", payload, **more)


async def test_the_draft_of_a_worker_can_be_read(database: Database) -> None:
    house = House(database)
    job_id, instruction_id = await drafted(house)

    view = result(await house.ask("instruction.get", {"instruction_id": instruction_id}))

    assert (view["job_id"], view["version"], view["latest_version"]) == (job_id, 1, 1)
    assert (view["blocks"], view["validation_status"], view["issues"]) == (BLOCKS, "VALID", [])
    assert view["created_by"] == "worker-1"


async def test_a_new_version_leaves_the_old_one_as_it_was_and_asks_for_a_new_approval(database: Database) -> None:
    house = House(database)
    job_id, instruction_id = await drafted(house)
    assert result(await house.give("job.approve", {"job_id": job_id, "version": 1}))["approved"] is True

    made = await put(house, instruction_id, 1)

    assert (made.status, result(made)["version"], result(made)["blocks"]) == (201, 2, EDITED)
    old = result(await house.ask("instruction.get", {"instruction_id": instruction_id, "version": 1}))
    assert (old["blocks"], old["latest_version"]) == (BLOCKS, 2)
    assert (await house.view(job_id))["approved"] is False
    unread = await house.give("job.approve", {"job_id": job_id, "version": 1})
    assert code(unread) is ErrorCode.VERSION_CONFLICT
    assert unread.problem is not None
    assert unread.problem.details[0].extra == {"current_version": 2}
    assert result(await house.give("job.approve", {"job_id": job_id, "version": 2}))["approved"] is True


async def test_of_fifty_writers_on_one_version_one_wins(database: Database) -> None:
    house = House(database)
    _, instruction_id = await drafted(house)

    async def write(number: int) -> Reply:
        blocks = [*BLOCKS, {"block_id": "mine", "type": "note", "text": f"Writer {number}"}]
        while True:
            try:
                return await put(house, instruction_id, 1, blocks)
            except StorageConflict:  # as the door does it: two daemons met, the whole is repeated
                continue

    replies = await asyncio.gather(*(write(number) for number in range(50)))

    won = [reply for reply in replies if reply.problem is None]
    lost = [reply.problem for reply in replies if reply.problem is not None]
    assert (len(won), len(lost)) == (1, 49)
    assert {problem.code for problem in lost} == {ErrorCode.VERSION_CONFLICT}
    assert all(problem.details[0].extra == {"current_version": 2} for problem in lost)


async def test_what_is_invalid_is_stored_and_not_approved(database: Database) -> None:
    house = House(database)
    job_id, instruction_id = await drafted(house)

    view = result(await put(house, instruction_id, 1, [{"block_id": "b1", "type": "step", "text": ""}]))

    assert view["validation_status"] == "INVALID"
    assert view["issues"] == [{"code": "empty_text", "message": "the block has no text", "block_id": "b1"}]
    assert code(await house.give("job.approve", {"job_id": job_id})) is ErrorCode.INVALID_STATE


async def test_history_and_difference_tell_what_changed(database: Database) -> None:
    house = House(database)
    _, instruction_id = await drafted(house)
    await put(house, instruction_id, 1, [EDITED[1], BLOCKS[0], {"block_id": "b3", "type": "note", "text": "Done"}])

    asked = {"instruction_id": instruction_id, "compare_to": 1, "history": True}
    view = result(await house.ask("instruction.get", asked))

    assert [(each["version"], each["created_by"]) for each in view["history"]] == [(2, "ada"), (1, "worker-1")]
    assert view["difference"] == [
        {"block_id": "b2", "change": "changed", "before": "Open the door", "after": "Close the door"},
        {"block_id": "b1", "change": "moved"},
        {"block_id": "b3", "change": "added", "after": "Done"},
    ]


async def test_another_owners_instruction_is_not_there(database: Database) -> None:
    house = House(database)
    _, instruction_id = await drafted(house)

    assert code(await put(house, instruction_id, 1, owner="eve")) is ErrorCode.RESOURCE_NOT_FOUND
    asked = await house.ask("instruction.get", {"instruction_id": instruction_id}, owner="eve")
    assert code(asked) is ErrorCode.RESOURCE_NOT_FOUND
    absent = await house.ask("instruction.get", {"instruction_id": instruction_id, "version": 9})
    assert code(absent) is ErrorCode.RESOURCE_NOT_FOUND


async def test_the_instruction_of_an_ended_job_goes_on_without_it(database: Database) -> None:
    house = House(database)
    job_id, instruction_id = await drafted(house)
    await house.give("job.cancel", {"job_id": job_id})
    before = await house.view(job_id)

    first, second = await put(house, instruction_id, 1), await put(house, instruction_id, 2)

    assert (result(first)["version"], result(second)["version"]) == (2, 3)
    assert await house.view(job_id) == before
