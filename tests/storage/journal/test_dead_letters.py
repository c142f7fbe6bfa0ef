"""Dead letters: what was refused is kept byte for byte, once, with its reason."""

from dataclasses import replace

import orjson
from sqlalchemy import select

from contracts.errors import Detail, ErrorCode, Problem, problem
from storage.engine.database import Database
from storage.engine.nul_text import from_stored
from storage.journal.dead_letters import DeadLetter
from storage.tables.journal import dead_letters


def letter(sequence: int, *, cause: Problem | None = None, body: bytes = b"{}") -> DeadLetter:
    return DeadLetter(
        dead_letter_id=f"letter-{sequence}",
        problem=cause or problem(ErrorCode.VALIDATION_ERROR, "1 field is invalid"),
        kind="session.usage",
        message_id="planner-7:1",
        producer="planner-7",
        stream="HG_INGEST",
        subject="ingest.session.usage",
        sequence=sequence,
        stored_at=1_763_000_000_000_000,
        delivered=1,
        headers={"Nats-Msg-Id": "planner-7:1", "odd": "\0\ue000é"},
        body=body,
    )


async def stored(database: Database) -> list[dict[str, object]]:
    rows = await database.read(
        lambda uow: uow.connection.execute(select(dead_letters).order_by(dead_letters.c.sequence)).mappings().all()
    )
    return [dict(row) for row in rows]


async def test_a_letter_is_kept_whole(database: Database) -> None:
    cause = problem(
        ErrorCode.VALIDATION_ERROR,
        "3 fields are invalid",
        [
            Detail("payload.b", "int_type", "x"),
            Detail("created_at", "timezone_aware", "x"),
            Detail("payload.b", "z", "x"),
        ],
    ).traced("5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11")
    sent = letter(7, cause=cause, body=b"\xff\x00\xfe not utf-8")

    await database.write(lambda uow: uow.dead_letters.add([sent], now=9))
    (row,) = await stored(database)

    assert row["body"] == sent.body
    assert orjson.loads(str(row["headers"])) == sent.headers
    assert orjson.loads(str(row["problem"])) == cause.as_json()
    expected = {
        "state": "open",
        "code": "VALIDATION_ERROR",
        "paths": "created_at,payload.b",
        "trace_id": cause.trace_id,
        "received_at": 9,
        "updated_at": 9,
        "replay_number": 0,
        "delivered": 1,
        "message_id": "planner-7:1",
    }
    assert expected.items() <= row.items()


async def test_one_stored_message_has_one_letter(database: Database) -> None:
    """A redelivery finds the row of the first refusal, and what it said then."""
    first = letter(1, cause=problem(ErrorCode.VALIDATION_ERROR, "the first reason"))
    await database.write(lambda uow: uow.dead_letters.add([first], now=1))

    again = replace(first, dead_letter_id="another", problem=problem(ErrorCode.INTERNAL_ERROR, "another reason"))
    elsewhen = replace(first, dead_letter_id="elsewhen", stored_at=first.stored_at + 1)
    await database.write(lambda uow: uow.dead_letters.add([again, elsewhen], now=2))

    assert {row["dead_letter_id"] for row in await stored(database)} == {"letter-1", "elsewhen"}
    found = await database.read(
        lambda uow: uow.dead_letters.problems_of([first.origin, ("HG_INGEST", 2, 3), elsewhen.origin])
    )
    assert found == {first.origin: first.problem.as_json(), elsewhen.origin: elsewhen.problem.as_json()}


async def test_open_letters_are_counted(database: Database) -> None:
    await database.write(lambda uow: uow.dead_letters.add([letter(1), letter(2)], now=1))

    assert await database.read(lambda uow: uow.dead_letters.count_open()) == 2


async def test_a_letter_about_u0000_can_be_kept_everywhere(database: Database) -> None:
    """The path of an unknown field is the field's name as it came."""
    cause = problem(ErrorCode.VALIDATION_ERROR, "1 field is invalid", [Detail("payload.a\0b", "extra_forbidden", "x")])
    sent = replace(letter(1, cause=cause), kind="k\0", message_id="m\0", producer="p\0")

    await database.write(lambda uow: uow.dead_letters.add([sent], now=1))
    (row,) = await stored(database)

    assert {name: from_stored(str(row[name])) for name in ("paths", "kind", "message_id", "producer")} == {
        "paths": "payload.a\0b",
        "kind": "k\0",
        "message_id": "m\0",
        "producer": "p\0",
    }
    assert orjson.loads(str(row["problem"])) == cause.as_json()


async def test_nothing_asked_is_nothing_done(database: Database) -> None:
    await database.write(lambda uow: uow.dead_letters.add([], now=1))

    assert await database.read(lambda uow: uow.dead_letters.problems_of([])) == {}
