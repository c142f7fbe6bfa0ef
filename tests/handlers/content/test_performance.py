"""Measurements of posts: the latest counts, whichever arrives first, and all are kept."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from domain.content.performance import Measurement, latest
from handlers.effects import Verdict
from storage.engine.database import Database
from storage.tables.performance import post_measurements, post_performance, post_performance_daily
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope
from tests.handlers.deciding import Stream, outcomes, rows
from tests.support import statements


def measured(hour: int, *, post_id: str = "post-1", day: int = 20, **more: Json) -> Json:
    return {
        "post_id": post_id,
        "platform": "shorts",
        "at": f"2026-11-{day}T{hour:02d}:00:00Z",
        "impressions": 1_000 * hour,
        "reach": 100 * hour,
        "likes": 10,
        "comments": 1,
        "saves": 2,
        "shares": 3,
        "views": 50,
        "watch_through": 0.5,
        **more,
    }


async def send(database: Database, *payloads: Json, made_at: int = 0, prefix: str = "p") -> None:
    stream = Stream()
    batch = [
        stream.deliver(
            envelope(
                payload,
                "content.performance",
                "1.0",
                message_id=f"{prefix}:{number}",
                created_at=f"2026-11-22T00:{made_at:02d}:00Z",
            ),
            "content.performance",
        )
        for number, payload in enumerate(payloads)
    ]
    assert [outcome.verdict for outcome in await outcomes(database, batch)] == [Verdict.ACCEPTED] * len(payloads)


async def test_the_latest_measurement_counts_in_all_and_on_each_day(database: Database) -> None:
    await send(database, measured(9), measured(6), measured(3, day=21), prefix="a")
    await send(database, measured(8), measured(1, day=21), measured(5, post_id="post-2"), prefix="b")

    latest_rows = await rows(database, select(post_performance))
    daily = await rows(database, select(post_performance_daily))
    assert {row["post_id"]: row["reach"] for row in latest_rows} == {"post-1": 300, "post-2": 500}
    assert {(row["day"], row["post_id"]): row["reach"] for row in daily} == {
        ("2026-11-20", "post-1"): 900,
        ("2026-11-20", "post-2"): 500,
        ("2026-11-21", "post-1"): 300,
    }
    assert len(await rows(database, select(post_measurements))) == 6


async def test_of_two_for_one_instant_the_later_made_counts(database: Database) -> None:
    await send(database, measured(9, reach=7), made_at=5, prefix="a")
    await send(database, measured(9, reach=6), made_at=4, prefix="b")

    [row] = await rows(database, select(post_performance))
    assert row["reach"] == 7


def a_measurement(number: int, at: int, created_at: int) -> Measurement:
    figures = (number, number, number, number, number, number, number)
    return Measurement("p", "s", at, *figures, 0.5, f"m{number}", "t", "w", created_at)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4))
def test_no_order_of_arrival_matters(instants: list[tuple[int, int]]) -> None:
    measurements = [a_measurement(number, *instant) for number, instant in enumerate(instants)]

    assert len({latest(order) for order in permutations(measurements)}) == 1


async def test_statements_do_not_grow_with_the_batch(database: Database) -> None:
    counts: list[int] = []

    def work(uow: UnitOfWork) -> None:
        for size in (1, 200):
            batch = [a_measurement(number, number, 1)._replace(post_id=f"p{number}") for number in range(size)]
            with statements.recorded(uow) as seen:
                uow.post_performance.add(batch)
                uow.post_performance.put_latest(latest(batch))
            counts.append(len(seen))

    await database.write(work)
    assert counts == [3, 3]
