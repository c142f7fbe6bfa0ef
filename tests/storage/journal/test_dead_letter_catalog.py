"""The catalog: what a group is named by selects its letters and no others, in pages whose order is stable."""

from dataclasses import replace

from contracts.errors import Detail, ErrorCode, problem
from storage.engine.database import Database
from storage.journal.dead_letter_catalog import Letter, LetterFilter, LetterGroup
from storage.journal.dead_letters import DeadLetter
from storage.journal.discards import Discard
from storage.unit_of_work import UnitOfWork
from tests.storage.journal.test_dead_letters import letter

WRONG = problem(ErrorCode.VALIDATION_ERROR, "wrong", [Detail("payload.a", "x", "x"), Detail("payload.b", "x", "x")])
# A field may be named so that two places of one letter look like one place of another.
ODD = problem(ErrorCode.VALIDATION_ERROR, "wrong", [Detail("payload.b,z\0", "x", "x")])


async def kept(database: Database, *letters: DeadLetter) -> None:
    def keep(uow: UnitOfWork) -> None:
        for number, each in enumerate(letters):
            uow.dead_letters.add([each], now=100 + number)

    await database.write(keep)


async def page(database: Database, **wanted: object) -> list[str]:
    filtered = LetterFilter(**wanted)  # type: ignore[arg-type]  # names and values of the test's own
    rows: list[Letter] = await database.read(lambda uow: uow.dead_letter_catalog.page(filtered, before=None, limit=50))
    return [row.dead_letter_id for row in rows]


async def groups(database: Database) -> list[LetterGroup]:
    return await database.read(lambda uow: uow.dead_letter_catalog.groups(LetterFilter(), offset=0, limit=50))


async def test_a_group_names_exactly_its_own_letters(database: Database) -> None:
    await kept(
        database,
        letter(1, cause=WRONG),
        replace(letter(2, cause=WRONG), producer=None),
        replace(letter(3, cause=ODD), producer="unknown"),
        letter(4),
        letter(5, cause=WRONG),
    )

    named = {
        tuple(sorted(await page(database, kinds=[g.kind], codes=[g.code], paths=[g.paths], producers=[g.producer])))
        for g in await groups(database)
    }

    assert named == {("letter-1", "letter-5"), ("letter-2",), ("letter-3",), ("letter-4",)}


async def test_filters_are_combined_by_and(database: Database) -> None:
    trace_id = "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11"
    await kept(
        database,
        letter(1, cause=WRONG.traced(trace_id)),
        replace(letter(2), message_id="m-2"),
        replace(letter(3), producer=None),
    )

    assert await page(database, trace_ids=[trace_id]) == ["letter-1"]
    assert await page(database, message_ids=["m-2", "m-3"]) == ["letter-2"]
    assert await page(database, producers=[None, "planner-7"], except_ids=["letter-2"]) == ["letter-3", "letter-1"]
    assert await page(database, message_ids=["m-2"], producers=[None]) == []


async def test_pages_over_several_states_keep_one_order(database: Database) -> None:
    await kept(database, *map(letter, range(1, 7)))
    why = Discard("run", "ann", None, 200)
    await database.write(lambda uow: uow.discards.discard(["letter-2", "letter-5"], why))

    assert await page(database, states=["open", "discarded"]) == [f"letter-{number}" for number in (6, 5, 4, 3, 2, 1)]
    assert await page(database, states=["discarded"]) == ["letter-5", "letter-2"]
    marks = await database.read(
        lambda uow: uow.dead_letter_catalog.marks(LetterFilter(states=("open", "replaying")), after=(100, "z"), limit=2)
    )
    assert [dead_letter_id for _, dead_letter_id in marks] == ["letter-3", "letter-4"]


async def test_a_histogram_counts_each_letter_in_its_part_of_the_time(database: Database) -> None:
    await kept(database, *map(letter, range(1, 7)))

    counts = await database.read(
        lambda uow: uow.dead_letter_catalog.histogram(LetterFilter(), since=101, until=105, buckets=2)
    )

    assert counts == {0: 2, 1: 2}
