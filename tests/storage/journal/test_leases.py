"""Leases: one holder at a time, and a number by which a late one finds that its time is over."""

import asyncio
import time

from sqlalchemy.util import await_only

from storage.engine.database import Database
from storage.journal.leases import Lease
from storage.unit_of_work import UnitOfWork
from tests.support import databases

HOUR = 3_600.0
NOW = 0.0
"""A lease that is over as soon as it is taken: nobody has to wait for the end of one."""


async def take(database: Database, holder: str, ttl_s: float = HOUR, name: str = "self-heal") -> Lease | None:
    return await database.write(lambda uow: uow.leases.take(name, holder=holder, ttl_s=ttl_s))


async def test_the_first_takes_it_and_others_do_not(database: Database) -> None:
    assert await take(database, "one") == Lease("self-heal", "one", 1)
    assert await take(database, "two") is None
    assert await take(database, "two", name="another") == Lease("another", "two", 1)


async def test_a_renewal_in_time_keeps_the_number_and_prolongs(database: Database) -> None:
    await take(database, "one", ttl_s=60)
    before = await database.read(expiry)

    assert await take(database, "one", ttl_s=120) == Lease("self-heal", "one", 1)
    assert await database.read(expiry) > before + 50_000_000


def expiry(uow: UnitOfWork) -> int:
    return int(uow.connection.exec_driver_sql("SELECT expires_at FROM leases").scalar_one())


async def test_the_number_rises_with_each_taking(database: Database) -> None:
    numbers = []
    for holder in ("one", "two", "two", "one"):
        lease = await take(database, holder, ttl_s=NOW)
        assert lease is not None
        numbers.append(lease.number)

    assert numbers == [1, 2, 3, 4], "also for the one who had it last: it may have missed what came between"


async def test_a_lease_that_ran_out_or_was_given_up_is_not_held(database: Database) -> None:
    lease = await take(database, "one")
    assert lease is not None
    assert await database.write(lambda uow: uow.leases.still_held(lease))

    await database.write(lambda uow: uow.leases.release(lease))

    assert not await database.write(lambda uow: uow.leases.still_held(lease))
    assert await take(database, "two") == Lease("self-heal", "two", 2)
    assert not await database.write(lambda uow: uow.leases.still_held(lease))


async def test_a_late_holder_cannot_release_what_another_has_taken(database: Database) -> None:
    late = await take(database, "one", ttl_s=NOW)
    assert late is not None
    now = await take(database, "two")
    assert now is not None

    await database.write(lambda uow: uow.leases.release(late))

    assert await database.write(lambda uow: uow.leases.still_held(now))
    assert not await database.write(lambda uow: uow.leases.still_held(late))
    unknown = Lease("never taken", "one", 1)
    assert not await database.write(lambda uow: uow.leases.still_held(unknown))


async def test_holders_are_listed_by_prefix_with_whether_they_are_alive(database: Database) -> None:
    await take(database, "a", name="daemon.a")
    await take(database, "b", name="daemon.b", ttl_s=NOW)
    await take(database, "c", name="daemonXc")

    assert await database.read(lambda uow: uow.leases.holders("daemon.")) == {"daemon.a": True, "daemon.b": False}

    await database.write(lambda uow: uow.leases.forget("daemon.b"))
    assert await database.read(lambda uow: uow.leases.holders("daemon.")) == {"daemon.a": True}


async def test_the_clock_is_the_databases(database: Database) -> None:
    """It stands on the same machine here, so that it must agree with ours."""
    before = time.time_ns() // 1_000
    now = await database.read(lambda uow: uow.leases.now())
    after = time.time_ns() // 1_000

    assert before - 2_000 <= now <= after + 2_000


async def test_of_many_that_try_at_once_one_takes_it(database_url: str) -> None:
    async with databases.opened(database_url) as one, databases.opened(database_url) as two:
        taken = await asyncio.gather(*(take((one, two)[number % 2], f"holder-{number}") for number in range(8)))

    assert len([lease for lease in taken if lease is not None]) == 1


async def test_a_lease_is_not_taken_while_a_transaction_relies_on_it(postgres: databases.PostgresServer) -> None:
    """It runs out while its holder's transaction is under way: the next one waits for that transaction's end."""
    relied, may_end = asyncio.Event(), asyncio.Event()

    with postgres.migrated_database() as url:
        async with databases.opened(url) as one, databases.opened(url) as two:
            lease = await take(one, "one", ttl_s=HOUR)
            assert lease is not None

            def rely(uow: UnitOfWork) -> bool:
                held = uow.leases.still_held(lease)
                relied.set()
                await_only(may_end.wait())
                return held

            relying = asyncio.ensure_future(one.write(rely))
            await relied.wait()
            release_and_take = asyncio.ensure_future(two.write(lambda uow: uow.leases.release(lease)))
            while not await one.read(databases.somebody_waits):
                assert not release_and_take.done()
            may_end.set()

            assert await relying
            await release_and_take
            assert await take(two, "two") == Lease("self-heal", "two", 2)
