"""One policy for transactions that fail: repeat conflicts, wait for storage, isolate poison."""

from collections.abc import Sequence

import pytest

from daemon import transactions
from daemon.transactions import ANSWERED, Done, Poison, Repeats, committed, isolated
from storage.engine.failures import DataRefused, StorageAway, StorageConflict
from storage.unit_of_work import UnitOfWork
from tests.support.failing_database import FailingDatabase

AT_ONCE = Repeats(first_s=0.0)


def answer(_uow: UnitOfWork) -> str:
    return "answer"


async def test_conflicts_and_storage_that_is_away_are_waited_out() -> None:
    database = FailingDatabase(StorageConflict("met"), StorageAway("locked"), StorageConflict("met"))

    assert await committed(database, answer, repeats=AT_ONCE) == "answer"


async def test_what_waiting_cannot_mend_is_raised_at_once() -> None:
    database = FailingDatabase(DataRefused("poison"))

    with pytest.raises(DataRefused):
        await committed(database, answer, repeats=AT_ONCE)
    assert database.left == 0


async def test_where_somebody_waits_storage_that_is_away_is_the_answer() -> None:
    with pytest.raises(StorageAway, match="locked"):
        await committed(FailingDatabase(StorageAway("locked")), answer, repeats=ANSWERED)


async def test_conflicts_without_end_count_as_storage_that_is_away() -> None:
    database = FailingDatabase(*[StorageConflict("met")] * 4)

    with pytest.raises(StorageAway, match="other daemons"):
        await committed(database, answer, repeats=Repeats(first_s=0.0, conflicts=3))


async def test_a_caller_may_stop_waiting_for_storage() -> None:
    waits: list[float] = []

    async def twice(_error: StorageAway, delay_s: float) -> bool:
        waits.append(delay_s)
        return len(waits) < 2

    with pytest.raises(StorageAway):
        await committed(FailingDatabase(*[StorageAway("locked")] * 3), answer, while_away=twice)
    assert len(waits) == 2
    assert waits[1] > waits[0] * 0.99


def test_jitter_has_one_source() -> None:
    assert 0 <= transactions.chance() < 1


@pytest.mark.parametrize("poison", [(), (0,), (6,), (2, 3), tuple(range(7))])
async def test_the_poison_stands_alone_and_all_others_are_committed_in_order(poison: tuple[int, ...]) -> None:
    async def commit(part: Sequence[int]) -> int:
        if set(part) & set(poison):
            raise DataRefused(str(part))
        return sum(part)

    seen: list[int] = []
    refused: list[int] = []
    async for outcome in isolated(range(7), commit):
        match outcome:
            case Done(part, result):
                assert sum(part) == result
                seen += part
            case Poison(member, cause):
                assert isinstance(cause, DataRefused)
                seen.append(member)
                refused.append(member)

    assert (seen, tuple(refused)) == (list(range(7)), poison)


async def test_what_is_nobodys_fault_is_raised_as_it_is() -> None:
    async def commit(part: Sequence[int]) -> int:
        raise StorageAway(str(part))

    with pytest.raises(StorageAway):
        await anext(isolated([1, 2], commit, passing=(StorageAway,)))
