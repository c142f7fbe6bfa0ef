"""The outbox: what is committed with its state waits in order, whole, until its stream has it."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.engine.database import Database
from storage.engine.failures import DataRefused
from storage.journal.outbox import OutboxDepth, OutboxMessage
from storage.unit_of_work import UnitOfWork

EVERYTHING = 2**40


def message(name: str, *, lane: str = "HG_EVENT", body: bytes = b"{}") -> OutboxMessage:
    return OutboxMessage(name, lane, f"job.{name}", f"hg.event.job.{name}.created", body, {"traceparent": "00-ab"})


def add(*messages: OutboxMessage, owner: str = "me", now: int = 1) -> Callable[[UnitOfWork], None]:
    return lambda uow: uow.outbox.add(messages, owner=owner, now=now)


async def waiting(
    database: Database, *, owner: str = "me", lane: str = "HG_EVENT", limit: int = 100, max_bytes: int = EVERYTHING
) -> dict[str, int]:
    """The names of what waits and their positions, in order."""
    rows = await database.read(lambda uow: uow.outbox.waiting(owner=owner, lane=lane, limit=limit, max_bytes=max_bytes))
    return {row.message.message_id: row.position for row in rows}


async def test_what_was_added_comes_back_whole_and_in_order(database: Database) -> None:
    messages = [message("b", body=bytes(range(256))), message("a", body=b""), message("c", body=b"\0" * 10)]

    await database.write(add(*messages, now=7))
    rows = await database.read(
        lambda uow: uow.outbox.waiting(owner="me", lane="HG_EVENT", limit=10, max_bytes=EVERYTHING)
    )

    assert [row.message for row in rows] == messages
    assert [row.position for row in rows] == sorted(row.position for row in rows)
    assert {(row.created_at, row.attempts, row.tried_at) for row in rows} == {(7, 0, None)}


async def test_lanes_and_owners_are_apart(database: Database) -> None:
    await database.write(add(message("mine"), message("other lane", lane="HG_DEAD")))
    await database.write(add(message("theirs"), owner="them"))

    assert list(await waiting(database)) == ["mine"]
    assert list(await waiting(database, owner="them")) == ["theirs"]
    assert await database.read(lambda uow: uow.outbox.lanes(owner="me")) == {"HG_EVENT", "HG_DEAD"}
    assert await database.read(lambda uow: uow.outbox.lanes(owner="nobody")) == set()
    assert await database.read(lambda uow: uow.outbox.owners()) == {"me", "them"}


@pytest.mark.parametrize(("max_bytes", "fit"), [(0, 1), (9, 1), (10, 1), (29, 1), (30, 2), (60, 3), (99, 3), (100, 4)])
async def test_a_round_takes_no_more_bytes_than_asked_but_one_message_at_least(
    database: Database, max_bytes: int, fit: int
) -> None:
    await database.write(add(*(message(f"{size:03d}", body=b"x" * size) for size in (10, 20, 30, 40))))

    assert len(await waiting(database, max_bytes=max_bytes)) == fit


async def test_a_round_takes_no_more_messages_than_asked(database: Database) -> None:
    await database.write(add(*(message(name) for name in "abcde")))

    assert list(await waiting(database, limit=3)) == ["a", "b", "c"]


async def test_what_is_confirmed_is_gone(database: Database) -> None:
    await database.write(add(*(message(name) for name in "abc")))
    positions = await waiting(database)

    await database.write(lambda uow: uow.outbox.remove([positions["a"], positions["c"], 999_999]))

    assert list(await waiting(database)) == ["b"]


async def test_a_position_is_never_used_twice(database: Database) -> None:
    """A daemon that comes back from a long pause removes what it published then, and nothing that came later."""
    await database.write(add(message("first")))
    first = (await waiting(database))["first"]
    await database.write(lambda uow: uow.outbox.remove([first]))

    await database.write(add(message("second")))

    assert (await waiting(database))["second"] > first


async def test_a_try_is_counted_and_dated(database: Database) -> None:
    await database.write(add(message("a"), message("b")))
    positions = await waiting(database)

    await database.write(lambda uow: uow.outbox.mark_tried([positions["a"]], now=5))
    await database.write(lambda uow: uow.outbox.mark_tried([positions["a"]], now=6))

    rows = await database.read(
        lambda uow: uow.outbox.waiting(owner="me", lane="HG_EVENT", limit=9, max_bytes=EVERYTHING)
    )
    assert [(row.message.message_id, row.attempts, row.tried_at) for row in rows] == [("a", 2, 6), ("b", 0, None)]


async def test_what_the_server_refuses_for_good_stands_aside_with_its_reason(database: Database) -> None:
    await database.write(add(*(message(name) for name in "abc")))
    positions = await waiting(database)

    await database.write(lambda uow: uow.outbox.set_aside({positions["a"]: "too large", positions["b"]: "no subject"}))

    assert list(await waiting(database)) == ["c"]
    assert await database.read(lambda uow: uow.outbox.depth()) == OutboxDepth(pending=1, failed=2, oldest_at=1)
    failures = await database.read(
        lambda uow: uow.connection.exec_driver_sql(
            "SELECT message_id, failure FROM outbox WHERE state = 'failed'"
        ).all()
    )
    assert {(row[0], row[1]) for row in failures} == {("a", "too large"), ("b", "no subject")}


async def test_the_depth_tells_how_much_waits_and_since_when(database: Database) -> None:
    assert await database.read(lambda uow: uow.outbox.depth()) == OutboxDepth(0, 0, None)

    await database.write(add(message("a"), now=10))
    await database.write(add(message("b"), owner="them", now=20))

    assert await database.read(lambda uow: uow.outbox.depth()) == OutboxDepth(2, 0, 10)


async def test_the_rows_of_the_dead_are_adopted_in_their_order(database: Database) -> None:
    await database.write(add(message("a"), owner="dead"))
    await database.write(add(message("b"), owner="gone"))
    await database.write(add(message("c"), owner="alive"))
    await database.write(add(message("d"), owner="dead"))

    adopted = await database.write(lambda uow: uow.outbox.adopt(owners=["dead", "gone", "never was"], new_owner="me"))

    assert adopted == 3
    assert list(await waiting(database)) == ["a", "b", "d"]
    assert list(await waiting(database, owner="alive")) == ["c"]


async def test_a_message_is_in_line_once(database: Database) -> None:
    await database.write(add(message("a")))

    with pytest.raises(DataRefused):
        await database.write(add(message("b"), message("a")))

    assert list(await waiting(database)) == ["a"]


async def test_nothing_asked_is_nothing_done(database: Database) -> None:
    def nothing(uow: UnitOfWork) -> int:
        uow.outbox.add([], owner="me", now=1)
        uow.outbox.remove([])
        uow.outbox.mark_tried([], now=1)
        uow.outbox.set_aside({})
        return uow.outbox.adopt(owners=[], new_owner="me")

    assert await database.write(nothing) == 0


class Undo(Exception):
    """Ends an example without a trace."""


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bodies=st.lists(st.binary(max_size=40), max_size=6),
    subject=TEXTS,
    headers=st.dictionaries(TEXTS, st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=3),
)
async def test_any_bytes_and_any_text_come_back_as_they_were(
    database: Database, bodies: list[bytes], subject: str, headers: dict[str, str]
) -> None:
    """Bodies of a replay are whatever once came; a batch carries them in one parameter, end to end."""
    messages = [
        OutboxMessage(f"m{number}", "HG_REPLAY", "a", subject, body, headers) for number, body in enumerate(bodies)
    ]

    def example(uow: UnitOfWork) -> None:
        uow.outbox.add(messages, owner="me", now=1)
        rows = uow.outbox.waiting(owner="me", lane="HG_REPLAY", limit=100, max_bytes=EVERYTHING)
        assert [row.message for row in rows] == messages
        raise Undo

    with pytest.raises(Undo):
        await database.write(example)
