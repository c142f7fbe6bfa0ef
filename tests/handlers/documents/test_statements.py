"""Commands on documents share a transaction: the number of statements does not grow with their number."""

from collections.abc import Callable

import pytest

from handlers.commands.command import Command
from handlers.commands.command_batch import execute_commands
from handlers.registry import CHANGES
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from tests.handlers.documents.test_exports import ready
from tests.handlers.jobs.owners import BLOCKS, House, Json, command
from tests.support.statements import recorded

SHA = "a" * 64


def put(_job: str, instruction: str, _number: int) -> Json:
    return {"instruction_id": instruction, "base_version": 1, "blocks": BLOCKS}


def regenerate(_job: str, instruction: str, number: int) -> Json:
    return {"instruction_id": instruction, "base_version": 1, "block_ids": ["b2"], "prompt": f"No. {number}"}


def anchor(_job: str, instruction: str, _number: int) -> Json:
    return {"instruction_id": instruction, "version": 1, "block_id": "b2"}


def upload(job: str, _instruction: str, number: int) -> Json:
    return {"job_id": job, "filename": f"{number}.png", "media_type": "image/png", "size": 1, "sha256": SHA}


def export(job: str, _instruction: str, number: int) -> Json:
    return {"job_id": job, "format": "md", "options": {"title": f"No. {number}"}}


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("instruction.put", put),
        ("instruction.regenerate", regenerate),
        ("anchor.create", anchor),
        ("asset.begin-upload", upload),
        ("export.create", export),
    ],
)
async def test_eight_commands_take_as_many_statements_as_two(
    database: Database, name: str, payload: Callable[[str, str, int], Json]
) -> None:
    house = House(database)
    jobs = [await ready(house) for _ in range(10)]

    def statements(commands: list[Command], uow: UnitOfWork) -> int:
        with recorded(uow) as seen:
            done = execute_commands(commands, uow, house.context(), CHANGES)
        assert [reply.problem for reply in done.replies] == [None] * len(commands)
        return len(seen)

    asked = [command(name, payload(*job, number)) for number, job in enumerate(jobs)]
    two = await database.write(lambda uow: statements(asked[:2], uow))
    eight = await database.write(lambda uow: statements(asked[2:], uow))
    assert eight == two
