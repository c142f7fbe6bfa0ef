"""Work that was handed out: one message for each piece of it, deadlines that move, time that is given back."""

from functools import partial

import pytest

from domain.work.work import Failure
from storage.engine.database import Database
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work import WorkMessage, WorkRecord, WorkState
from storage.work.work_takers import HealRound, WorkTaking
from tests.support.records.work_records import NOW
from tests.support.records.work_records import dispatched as row

S = 1_000_000
WHY = Failure("c", "m", False)


def noted(each: WorkMessage, uow: UnitOfWork) -> None:
    uow.work.record_arrivals([each], now=NOW)


def kept(done: HealRound, uow: UnitOfWork) -> None:
    uow.heal_rounds.record(done)


def message(message_id: str) -> OutboxMessage:
    return OutboxMessage(message_id, "HG_WORK", "work.w1", "hg.work.item.analyse", b"{}")


async def stored(database: Database, work_id: str = "w1") -> WorkRecord:
    return await database.read(lambda uow: uow.work.get_many([work_id])[work_id])


async def test_work_is_read_as_it_was_put_and_put_again_keeps_what_it_is_for(database: Database) -> None:
    await database.write(lambda uow: uow.work.record_dispatched([row()]))
    assert await stored(database) == row()

    again = row(attempt=2, redispatches=1, message_id="second", stream_sequence=None, created_at=NOW + S)
    await database.write(lambda uow: uow.work.record_dispatched([again]))

    assert await stored(database) == again._replace(created_at=NOW)


async def test_a_superseded_message_leaves_the_outbox_and_is_to_leave_the_stream(database: Database) -> None:
    def hand_out(uow: UnitOfWork) -> None:
        uow.work.record_dispatched([row(stream_sequence=None)])
        uow.outbox.add([message("message of w1")], owner="d", now=NOW)

    await database.write(hand_out)
    await database.write(lambda uow: uow.work.supersede(["w1"]))

    assert await database.read(lambda uow: uow.outbox.depth().pending) == 0
    removals = await database.read(lambda uow: uow.work.list_removals(limit=10))
    assert removals == [WorkMessage("message of w1", "item.analyse", None, NOW)]

    await database.write(lambda uow: uow.work.record_removed(["message of w1"]))
    assert await database.read(lambda uow: uow.work.list_removals(limit=10)) == []


async def test_the_place_of_a_message_is_known_once_the_stream_confirmed_it(database: Database) -> None:
    await database.write(lambda uow: uow.work.record_dispatched([row(stream_sequence=None)]))
    arrived = WorkMessage("message of w1", "item.analyse", 41, NOW)

    await database.write(lambda uow: uow.work.record_arrivals([arrived], now=NOW + S))

    assert (await stored(database)) == row(stream_sequence=41)


async def test_a_message_that_was_long_on_its_way_gives_its_work_the_whole_time(database: Database) -> None:
    late = NOW + 100 * S
    await database.write(lambda uow: uow.work.record_dispatched([row(stream_sequence=None)]))

    await database.write(
        lambda uow: uow.work.record_arrivals([WorkMessage("message of w1", "item.analyse", 41, NOW)], now=late)
    )

    found = await stored(database)
    assert (found.counted_from, found.deadline_at) == (late, late + int(1.5 * S))


@pytest.mark.parametrize("sequence", [41, None])
async def test_a_message_that_arrives_after_its_work_went_on_is_to_be_removed(
    database: Database, sequence: int | None
) -> None:
    await database.write(
        lambda uow: uow.work.record_dispatched([row(message_id="newer"), row("w2", state=WorkState.CANCELLED)])
    )
    late = [
        WorkMessage("message of w1", "item.analyse", sequence, NOW),
        WorkMessage("message of w2", "item.analyse", sequence, NOW),
    ]

    await database.write(lambda uow: uow.work.record_arrivals(late, now=NOW))

    assert sorted(await database.read(lambda uow: uow.work.list_removals(limit=10))) == late


async def test_an_unknown_place_becomes_known_and_is_not_forgotten_again(database: Database) -> None:
    unknown, known = WorkMessage("m", "publish", None, NOW), WorkMessage("m", "publish", 3, NOW)
    for each in (unknown, known, unknown):
        await database.write(partial(noted, each))

    assert await database.read(lambda uow: uow.work.list_removals(limit=10)) == [known]


async def test_only_work_in_hand_ends_and_it_ends_once(database: Database) -> None:
    await database.write(lambda uow: uow.work.record_dispatched([row(), row("w2")]))
    await database.write(lambda uow: uow.work.end(["w1"], WorkState.DONE, now=NOW + S))
    await database.write(lambda uow: uow.work.end(["w1", "w2"], WorkState.FAILED, now=NOW + 2 * S, failure=WHY))

    assert await stored(database) == row(state=WorkState.DONE, updated_at=NOW + S)
    assert await stored(database, "w2") == row("w2", state=WorkState.FAILED, updated_at=NOW + 2 * S, failure=WHY)


async def test_a_sign_of_life_moves_the_deadline_on_and_never_back(database: Database) -> None:
    await database.write(lambda uow: uow.work.record_dispatched([row(), row("w2", deadline_at=NOW + S)]))

    await database.write(lambda uow: uow.work.keep_alive(["w1", "w2"], now=NOW + S))

    assert (await stored(database)).deadline_at == NOW + 60 * S
    found = await stored(database, "w2")
    assert (found.deadline_at, found.counted_from) == (NOW + S + int(1.5 * S), NOW + S)


async def test_overdue_is_what_is_in_hand_past_its_deadline_and_has_reached_the_stream(database: Database) -> None:
    rows = [
        row("late"),
        row("later", deadline_at=NOW + 50 * S),
        row("in time", deadline_at=NOW + 70 * S),
        row("done", state=WorkState.DONE),
        row("on its way", stream_sequence=None),
        row("other", subject_kind="job"),
    ]
    await database.write(lambda uow: uow.work.record_dispatched(rows))

    found = await database.read(lambda uow: uow.work.overdue(now=NOW + 60 * S, limit=10, kinds=["item"]))
    first = await database.read(lambda uow: uow.work.overdue(now=NOW + 60 * S, limit=1, kinds=["item"]))
    silent = await database.read(lambda uow: uow.work.silent("item.analyse", since=NOW, limit=2))

    assert [each.work_id for each in found] == ["later", "late"]
    assert [each.work_id for each in first] == ["later"]
    assert len(silent) == 2


async def test_lost_time_is_given_back_from_when_work_was_handed_out(database: Database) -> None:
    rows = [row("before"), row("between", counted_from=NOW + 4 * S), row("after", counted_from=NOW + 9 * S)]
    await database.write(lambda uow: uow.work.record_dispatched([*rows, row("other", type="publish")]))

    await database.write(lambda uow: uow.work.stand_still("item.analyse", since=NOW + 2 * S, until=NOW + 6 * S))

    gained = {
        work_id: (await stored(database, work_id)).deadline_at - NOW - 60 * S
        for work_id in ("before", "between", "after", "other")
    }
    assert gained == {"before": 4 * S, "between": 2 * S, "after": 0, "other": 0}
    assert (await stored(database, "between")).counted_from == NOW + 6 * S


async def test_work_in_hand_is_counted_by_type(database: Database) -> None:
    rows = [row(), row("w2"), row("w3", type="publish"), row("w4", state=WorkState.DONE)]
    await database.write(lambda uow: uow.work.record_dispatched(rows))

    assert await database.read(lambda uow: uow.work.in_hand_by_type()) == {"item.analyse": 2, "publish": 1}


async def test_what_was_seen_of_takers_replaces_what_was_seen_before(database: Database) -> None:
    await database.write(lambda uow: uow.work_takers.record([WorkTaking("publish", 1, None, 1)]))
    await database.write(lambda uow: uow.work_takers.record([WorkTaking("publish", 2, 2, None)]))

    assert await database.write(lambda uow: uow.work_takers.lock_all()) == {
        "publish": WorkTaking("publish", 2, 2, None)
    }


async def test_the_last_round_of_healing_is_kept(database: Database) -> None:
    assert await database.read(lambda uow: uow.heal_rounds.last()) is None
    for number in (1, 2):
        await database.write(partial(kept, HealRound(number, "d", {"items_found": number})))

    assert await database.read(lambda uow: uow.heal_rounds.last()) == HealRound(2, "d", {"items_found": 2})
