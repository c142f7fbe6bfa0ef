"""Replays: one at a time for each dead letter, decided once, whatever comes late or twice."""

from collections.abc import Sequence

import orjson
import pytest

from contracts.errors import ErrorCode, problem
from contracts.values.states import LetterState
from domain.dead_letters.dead_letters import ReplayOutcome
from storage.engine.database import Database
from storage.journal.dead_letter_catalog import LetterFilter
from storage.journal.dead_letters import DeadLetter
from storage.journal.discards import Discard
from storage.journal.replay_runs import ReplayCounts, ReplayItem
from storage.journal.replays import DEAD_LETTERS, Begun, Closing
from storage.unit_of_work import UnitOfWork


def letter(number: int, *, producer: str | None = "planner-7", kind: str = "session.usage") -> DeadLetter:
    return DeadLetter(
        dead_letter_id=f"letter-{number}",
        problem=problem(ErrorCode.VALIDATION_ERROR, "1 field is invalid"),
        kind=kind,
        message_id=None,
        producer=producer,
        stream="HG_INGEST",
        subject=f"ingest.{kind}",
        sequence=number,
        stored_at=number,
        delivered=1,
        headers={"webhook-id": "e"},
        body=b"body %d" % number,
    )


async def bury(database: Database, letters: Sequence[DeadLetter], *, now: int = 1) -> None:
    await database.write(lambda uow: uow.dead_letters.add(letters, now=now))


async def begin(database: Database, *ids: str, run_id: str = "run-1") -> list[Begun]:
    return await database.write(lambda uow: uow.replays.begin(ids, run_id=run_id, principal="ann", now=5))


def taken(begun: Begun, run_id: str = "run-1") -> Closing:
    return Closing(
        begun.dead_letter_id, begun.replay_number, run_id, LetterState.RESOLVED, ReplayOutcome.REPLAYED, "accepted"
    )


async def state_of(database: Database, dead_letter_id: str) -> tuple[LetterState, int]:
    return (await database.read(lambda uow: uow.replays.states([dead_letter_id])))[dead_letter_id]


async def test_only_an_open_letter_begins_a_replay(database: Database) -> None:
    await bury(database, [letter(1), letter(2)])

    first = await begin(database, "letter-1", "letter-2", "no-such-letter")
    again = await begin(database, "letter-1", "letter-2", run_id="run-2")

    assert [(each.dead_letter_id, each.replay_number, each.body) for each in first] == [
        ("letter-1", 1, b"body 1"),
        ("letter-2", 1, b"body 2"),
    ]
    assert again == []
    assert await state_of(database, "letter-1") == (LetterState.REPLAYING, 1)


async def test_what_names_another_number_is_not_being_replayed(database: Database) -> None:
    await bury(database, [letter(1), letter(2)])
    await begin(database, "letter-1")
    asked = [("letter-1", 1), ("letter-1", 2), ("letter-2", 1), ("letter-2", 0), ("letter-9", 1)]

    assert set(await database.read(lambda uow: uow.replays.originals(asked))) == {("letter-1", 1)}
    assert await database.write(lambda uow: uow.replays.lock(asked)) == {("letter-1", 1)}


async def test_a_replay_has_everything_of_the_row(database: Database) -> None:
    await bury(database, [letter(1)])
    await begin(database, "letter-1")

    found = (await database.read(lambda uow: uow.replays.originals([("letter-1", 1)])))[("letter-1", 1)]

    assert (found.subject, found.stream, found.sequence, found.stored_at) == ("ingest.session.usage", "HG_INGEST", 1, 1)
    assert (orjson.loads(found.headers), found.body, found.edited) == ({"webhook-id": "e"}, b"body 1", False)


async def test_an_edited_body_belongs_to_its_replay_alone(database: Database) -> None:
    """The row keeps what came; the next replay carries that again."""
    await bury(database, [letter(1)])

    def edit(uow: UnitOfWork) -> None:
        uow.replays.begin(["letter-1"], run_id="run-1", principal="ann", now=5)
        uow.replays.edit(("letter-1", 1), b"mended", reason="a typo")

    await database.write(edit)
    edited = (await database.read(lambda uow: uow.replays.originals([("letter-1", 1)])))[("letter-1", 1)]
    assert (edited.body, edited.edited) == (b"mended", True)

    refused = Closing(
        "letter-1", 1, "run-1", LetterState.OPEN, ReplayOutcome.STILL_FAILED, "INTERNAL_ERROR", "{}", "X", ""
    )
    await database.write(lambda uow: uow.replays.close([refused], now=6))
    (begun,) = await begin(database, "letter-1", run_id="run-2")

    assert (begun.replay_number, begun.body) == (2, b"body 1")
    first, second = await database.read(lambda uow: uow.replays.history("letter-1"))
    assert (first.body, first.outcome, first.principal, first.run_id, first.decided_at) == (
        b"mended",
        "still_failed",
        "ann",
        "run-1",
        6,
    )
    assert (second.body, second.outcome) == (None, None)


async def test_a_replay_is_decided_once(database: Database) -> None:
    await bury(database, [letter(1)])
    (begun,) = await begin(database, "letter-1")
    await database.write(lambda uow: uow.replays.close([taken(begun)], now=7))
    late = taken(begun)._replace(state=LetterState.OPEN, outcome=ReplayOutcome.STILL_FAILED, problem="{}")

    await database.write(lambda uow: uow.replays.close([late], now=8))

    assert await state_of(database, "letter-1") == (LetterState.RESOLVED, 1)
    (replay,) = await database.read(lambda uow: uow.replays.history("letter-1"))
    assert (replay.outcome, replay.decided_at) == ("replayed", 7)


async def test_a_refusal_opens_the_same_letter_with_the_new_reason(database: Database) -> None:
    await bury(database, [letter(1)])
    (begun,) = await begin(database, "letter-1")
    refused = taken(begun)._replace(
        state=LetterState.OPEN,
        outcome=ReplayOutcome.STILL_FAILED,
        reason="FORBIDDEN",
        problem='{"code":"FORBIDDEN"}',
        code="FORBIDDEN",
        paths="a,b",
        trace_id="t",
    )

    await database.write(lambda uow: uow.replays.close([refused], now=7))
    found = await database.read(lambda uow: uow.dead_letter_catalog.get("letter-1"))

    assert found is not None
    assert (found.state, found.code, found.paths, found.trace_id, found.updated_at) == (
        "open",
        "FORBIDDEN",
        "a,b",
        "t",
        7,
    )
    assert found.problem == '{"code":"FORBIDDEN"}'


async def test_only_an_open_letter_is_discarded(database: Database) -> None:
    await bury(database, [letter(1), letter(2)])
    await begin(database, "letter-2")

    async def discard(dead_letter_id: str) -> bool:
        why = Discard("run-1", "ann", "a mistake", 9)
        return bool(await database.write(lambda uow: uow.discards.discard([dead_letter_id], why)))

    assert [await discard(f"letter-{number}") for number in (1, 1, 2, 3)] == [True, False, False, False]
    assert (await state_of(database, "letter-1"))[0] is LetterState.DISCARDED
    kept = await database.read(lambda uow: uow.discards.get("letter-1"))
    assert kept == Discard("run-1", "ann", "a mistake", 9)


async def test_replays_of_which_nothing_was_heard_are_found(database: Database) -> None:
    await bury(database, [letter(1), letter(2)])
    begun = await begin(database, "letter-1", "letter-2")
    await database.write(lambda uow: uow.replays.close([taken(begun[0])], now=6))

    assert await database.read(lambda uow: uow.replays.stuck(since=4, limit=9)) == []
    (stuck,) = await database.read(lambda uow: uow.replays.stuck(since=5, limit=9))
    assert (stuck.dead_letter_id, stuck.replay_number, stuck.run_id) == ("letter-2", 1, "run-1")


async def test_a_selection_holds_each_item_once(database: Database) -> None:
    def select(uow: UnitOfWork) -> tuple[int, int]:
        uow.replay_runs.open("run-1", frozen_at=1, is_selecting=True)
        items = [ReplayItem(DEAD_LETTERS, f"letter-{number}", None, None, None) for number in range(3)]
        return uow.replay_runs.add("run-1", items), uow.replay_runs.add("run-1", items[1:])

    assert await database.write(select) == (3, 0)
    run = await database.read(lambda uow: uow.replay_runs.get("run-1"))
    assert run is not None
    assert (run.requested, run.is_selecting, run.stopped) == (3, 1, None)


async def test_items_wait_then_fly_then_land(database: Database) -> None:
    """The gate's word on a replay lands at the item of its run."""
    await bury(database, [letter(1), letter(2), letter(3)])

    def send(uow: UnitOfWork) -> list[Begun]:
        uow.replay_runs.open("run-1", frozen_at=1, is_selecting=False)
        ids = ["letter-1", "letter-2", "letter-3"]
        uow.replay_runs.add("run-1", [ReplayItem(DEAD_LETTERS, each, None, None, None) for each in ids])
        begun = uow.replays.begin(ids[:2], run_id="run-1", principal="ann", now=5)
        sent = [ReplayItem(DEAD_LETTERS, each.dead_letter_id, each.replay_number, None, None) for each in begun]
        uow.replay_runs.record_outcomes("run-1", sent)
        return begun

    begun = await database.write(send)
    assert await database.read(lambda uow: uow.replay_runs.waiting("run-1", limit=9)) == [(DEAD_LETTERS, "letter-3")]
    assert await database.read(lambda uow: uow.replay_runs.is_in_flight("run-1"))
    assert await database.read(lambda uow: uow.replay_runs.counts("run-1")) == ReplayCounts(3, 0, 0, 0)

    await database.write(lambda uow: uow.replays.close([taken(each) for each in begun], now=6))

    assert not await database.read(lambda uow: uow.replay_runs.is_in_flight("run-1"))
    assert await database.read(lambda uow: uow.replay_runs.counts("run-1")) == ReplayCounts(3, 2, 0, 0)
    items = await database.read(lambda uow: uow.replay_runs.page("run-1", after=(DEAD_LETTERS, "letter-1"), limit=9))
    assert [(item.item_id, item.replay_number, item.outcome, item.reason) for item in items] == [
        ("letter-2", 1, "replayed", "accepted"),
        ("letter-3", None, None, None),
    ]


async def test_ten_thousand_failures_of_one_producer_read_as_one_line(database: Database) -> None:
    for start in range(0, 10_000, 1_000):
        await bury(database, [letter(start + number) for number in range(1_000)], now=start)
    await bury(database, [letter(10_001, producer=None), letter(10_002, kind="feed.item")], now=3)

    groups = await database.read(lambda uow: uow.dead_letter_catalog.groups(LetterFilter(), offset=0, limit=10))

    assert (groups[0].producer, groups[0].letters, groups[0].first_seen, groups[0].last_seen) == (
        "planner-7",
        10_000,
        0,
        9_000,
    )
    assert sorted((group.kind, group.letters) for group in groups[1:]) == [("feed.item", 1), ("session.usage", 1)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (LetterFilter(), [3, 2, 1]),
        (LetterFilter(kinds=["feed.item"]), [3]),
        (LetterFilter(producers=["planner-7"], ids=["letter-1", "letter-3"]), [3, 1]),
        (LetterFilter(codes=["FORBIDDEN"]), []),
        (LetterFilter(since=2, until=3), [2]),
        (LetterFilter(states=["replaying"]), [1]),
    ],
)
async def test_letters_are_filtered(database: Database, wanted: LetterFilter, expected: list[int]) -> None:
    for number, kind in ((1, "session.usage"), (2, "session.usage"), (3, "feed.item")):
        await bury(database, [letter(number, kind=kind)], now=number)
    await begin(database, "letter-1")

    found = await database.read(lambda uow: uow.dead_letter_catalog.page(wanted, before=None, limit=9))
    marks = await database.read(lambda uow: uow.dead_letter_catalog.marks(wanted, after=None, limit=9))

    assert [each.sequence for each in found] == expected
    assert [each for _, each in reversed(marks)] == [f"letter-{number}" for number in expected]


async def test_letters_come_in_pages(database: Database) -> None:
    await bury(database, [letter(number) for number in range(1, 6)], now=1)

    def page(uow: UnitOfWork) -> list[list[int]]:
        catalog, pages, before = uow.dead_letter_catalog, [], None
        while found := catalog.page(LetterFilter(), before=before, limit=2):
            pages.append([each.sequence for each in found])
            before = (found[-1].received_at, found[-1].dead_letter_id)
        return pages

    assert await database.read(page) == [[5, 4], [3, 2], [1]]


async def test_a_large_body_is_read_in_parts(database: Database) -> None:
    await bury(database, [letter(1)])

    def parts(uow: UnitOfWork) -> tuple[bytes, bytes, bytes]:
        catalog = uow.dead_letter_catalog
        return (
            catalog.body("letter-1"),
            catalog.body("letter-1", offset=2, length=3),
            catalog.body("letter-1", offset=99, length=3),
        )

    assert await database.read(parts) == (b"body 1", b"dy ", b"")
