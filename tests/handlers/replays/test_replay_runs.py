"""Replay runs on both databases: selected once, sent in portions, held by one daemon, adding up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from adapters.cancellation import cancel_and_wait
from contracts.gate.delivery import Delivery
from contracts.payloads.operations.failures import ReplayFailed
from daemon.clock import now_micros
from daemon.runs.replaying import OPERATION, Replaying
from daemon.runs.runs import RunLost, Runs, RunWorker
from daemon.runs.selecting import targets_of
from handlers.batch import decide_batch
from handlers.registry import FAMILIES
from handlers.replays.replays import as_first_arrived, claimed_by
from storage.engine.database import Database
from storage.journal.ops_runs import NewRun, Run
from storage.journal.replay_runs import ReplayCounts
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import GATE, Json, envelope, usage
from tests.daemon.operations.operating import until
from tests.handlers.deciding import DAEMON, NOW, Stream, context, letters, settled
from tests.support.waiting import PATIENCE_S

RUN = "run-1"


def replaying(database: Database) -> Replaying:
    return Replaying(database, context=context, wake=lambda _lanes: None)


async def buried(database: Database, count: int) -> None:
    stream = Stream()
    bodies = [orjson.dumps(envelope(usage(input_tokens=-1), message_id=f"m{number}")) for number in range(count)]
    await settled(database, [stream.deliver(body) for body in bodies])


async def begun(database: Database, daemon: str = DAEMON, run_id: str = RUN, **asked: Json) -> Run:
    parameters = {"all": True, **asked}
    new = NewRun(run_id, OPERATION, parameters, "ann", None, daemon, NOW)
    await database.write(lambda uow: uow.ops_runs.start(new))
    run = await database.read(lambda uow: uow.ops_runs.get(run_id))
    assert run is not None
    return run


@asynccontextmanager
async def deciding(database: Database) -> AsyncIterator[None]:
    """The gate at the other end: takes what was sent and decides on it."""

    def decide(uow: UnitOfWork) -> None:
        rows = uow.outbox.waiting(owner=DAEMON, lane="HG_REPLAY", limit=500, max_bytes=2**24)
        batch = []
        for row in rows:
            message = row.message
            delivery = Delivery(message.subject[3:], message.body, message.headers, "HG_REPLAY", 1, 1, NOW, "")
            key = claimed_by(delivery)
            assert key is not None
            if (arrived := as_first_arrived(delivery, uow.replays.originals([key]).get(key))) is not None:
                batch.append(GATE.judge(arrived))
        if batch:
            decide_batch(batch, uow, context(), FAMILIES)
        uow.outbox.remove([row.position for row in rows])

    async def loop() -> None:
        while True:
            await database.write(decide)
            await asyncio.sleep(0.005)

    running = asyncio.create_task(loop())
    try:
        yield
    finally:
        await cancel_and_wait([running])


async def ended(database: Database, run_id: str = RUN) -> tuple[str, Json]:
    run = await database.read(lambda uow: uow.ops_runs.get(run_id))
    assert run is not None
    return run.status, orjson.loads(run.result or "null")


async def test_a_run_ends_when_everything_it_selected_is_decided(database: Database) -> None:
    await buried(database, 25)
    run = await begun(database)

    async with deciding(database):
        await replaying(database).work(run)

    assert await ended(database) == (
        "succeeded",
        {"requested": 25, "replayed": 0, "skipped": 0, "still_failed": 25},
    )
    assert {(row["state"], row["replay_number"]) for row in await letters(database)} == {("open", 1)}


async def test_what_fails_after_the_selection_never_joins_it(database: Database) -> None:
    await buried(database, 2)
    run = await begun(database)
    wanted = ReplayFailed.model_validate({"all": True})
    selecting = replaying(database).selecting
    assert await selecting.select(RUN, wanted, targets_of(wanted), frozen_at=NOW) == 2
    await settled(database, [Stream(name="LATER").deliver(b"{}")])

    async with deciding(database):
        await replaying(database).work(run)

    assert (await ended(database))[1]["requested"] == 2


async def test_a_selection_that_was_interrupted_is_completed(database: Database) -> None:
    await buried(database, 5)
    run = await begun(database, limit=4)
    await database.write(lambda uow: uow.replay_runs.open(RUN, frozen_at=NOW, is_selecting=True))

    async with deciding(database):
        await replaying(database).work(run)

    assert (await ended(database))[1] == {"requested": 4, "replayed": 0, "skipped": 0, "still_failed": 4}


async def test_ids_that_are_nowhere_are_told_too(database: Database) -> None:
    await buried(database, 1)
    [row] = await letters(database)
    run = await begun(database, ids=["absent", str(row["dead_letter_id"]), "absent"])

    async with deciding(database):
        await replaying(database).work(run)

    assert (await ended(database))[1] == {"requested": 2, "replayed": 0, "skipped": 1, "still_failed": 1}


async def test_a_daemon_that_lost_its_run_does_nothing_to_it(database: Database) -> None:
    """It slept through its lease; another has taken the run over."""
    await buried(database, 3)
    run = await begun(database, daemon="another")

    with pytest.raises(RunLost):
        await replaying(database).work(run)

    assert await database.read(lambda uow: uow.replay_runs.counts(RUN)) == ReplayCounts(0, 0, 0, 0)
    assert {row["state"] for row in await letters(database)} == {"open"}
    assert (await ended(database))[0] == "running"


async def test_runs_of_the_dead_are_taken_over_and_those_of_the_living_left_alone(database: Database) -> None:
    await buried(database, 3)
    await begun(database, daemon="dead", run_id="left")
    await begun(database, daemon="alive", run_id="held")
    await database.write(lambda uow: uow.leases.take("daemon.alive", holder="alive", ttl_s=60))

    async def has_ended() -> bool:
        return (await ended(database, "left"))[0] != "running"

    runs = Runs(database, daemon_id=DAEMON, clock=now_micros)
    runs.assign({OPERATION: RunWorker(replaying(database).work, resumable=True)})

    async with deciding(database):
        working = asyncio.create_task(runs.run())
        await runs.adopt_step()
        await until(has_ended)
        await cancel_and_wait([working])

    assert await ended(database, "left") == (
        "succeeded",
        {"requested": 3, "replayed": 0, "skipped": 0, "still_failed": 3},
    )
    held = await database.read(lambda uow: uow.ops_runs.get("held"))
    assert held is not None
    assert (held.status, held.daemon) == ("running", "alive")


async def test_a_run_that_waits_hears_that_it_was_stopped_or_taken_over(database: Database) -> None:
    """At 0.001 a second the next item is due in 1,000 s: both are heard long before."""
    await buried(database, 3)
    run = await begun(database, rate_per_second=0.001)
    taken_over = await begun(database, run_id="run-2", rate_per_second=0.001)

    async with deciding(database), asyncio.timeout(2 * PATIENCE_S):
        working = asyncio.create_task(replaying(database).work(run))
        await until(lambda: one_decided(database, RUN))
        await database.write(lambda uow: uow.replay_runs.stop(RUN, "aborted"))
        await working

        working = asyncio.create_task(replaying(database).work(taken_over))
        await until(lambda: one_decided(database, "run-2"))
        await database.write(lambda uow: uow.ops_runs.take_over("run-2", former=DAEMON, daemon="another"))
        with pytest.raises(RunLost):
            await working

    assert await ended(database) == (
        "aborted",
        {"requested": 3, "replayed": 0, "skipped": 2, "still_failed": 1, "stopped": "aborted"},
    )


async def one_decided(database: Database, run_id: str) -> bool:
    return (await database.read(lambda uow: uow.replay_runs.counts(run_id))).still_failed > 0
