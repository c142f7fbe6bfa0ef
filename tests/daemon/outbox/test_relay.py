"""The outbox relay: everything that was committed reaches its stream once and in order, whatever is away meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from adapters.cancellation import cancel_and_wait
from adapters.nats.outgoing import Outgoing, Published
from adapters.nats.publisher import StreamPublisher
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.topology import Limits
from contracts.subjects import Family
from daemon.clock import new_id, now_micros
from daemon.observability.dependency_checks import outbox_check
from daemon.observability.health import Status
from daemon.outbox.outbox_adoption import adopt_outbox
from daemon.outbox.relay import _outgoing
from storage.engine.database import Database
from storage.engine.failures import StorageAway
from storage.journal.outbox import OutboxMessage
from tests.adapters.nats.waiting import eventually, eventually_awaited
from tests.daemon.pipeline import DAEMON, Pipeline, pipeline
from tests.support.locks import locked
from tests.support.waiting import PATIENCE_S

TEN_MINUTES = 600 * 1_000_000


@pytest_asyncio.fixture
async def line(shared_server: EmbeddedServer, prefix: str, database: Database) -> AsyncIterator[Pipeline]:
    async with pipeline(shared_server.url, prefix, database) as made:
        yield made


def told(
    line: Pipeline, number: int, *, family: Family = Family.EVENT, aggregate: str = "a", size: int = 2
) -> OutboxMessage:
    return OutboxMessage(
        message_id=new_id(),
        lane=line.subjects.stream(family),
        aggregate=aggregate,
        subject=line.subjects.full(f"{family}.{aggregate}.x.happened"),
        body=str(number).encode().ljust(size),
        headers={"Number": str(number)},
    )


async def commit(line: Pipeline, *messages: OutboxMessage, owner: str = DAEMON, age: int = 0) -> None:
    await line.database.write(lambda uow: uow.outbox.add(messages, owner=owner, now=now_micros() - age))
    line.relay.wake({message.lane for message in messages})


async def pending(line: Pipeline) -> int:
    return (await line.database.read(lambda uow: uow.outbox.depth())).pending


async def none_pending(line: Pipeline) -> bool:
    return await pending(line) == 0


async def pends(line: Pipeline, count: int) -> bool:
    """What a stream has stays a row for a moment more."""
    return await pending(line) == count


async def stored(line: Pipeline, family: Family = Family.EVENT) -> list[tuple[str, int]]:
    """(Nats-Msg-Id, number) of everything in the family's stream, in order."""
    js, name = line.nc.jetstream(timeout=PATIENCE_S), line.subjects.stream(family)
    state = (await js.stream_info(name)).state
    found = [await js.get_msg(name, sequence) for sequence in range(max(1, state.first_seq), state.last_seq + 1)]
    return [((message.headers or {})["Nats-Msg-Id"], int((message.headers or {})["Number"])) for message in found]


def expected(messages: Sequence[OutboxMessage]) -> list[tuple[str, int]]:
    return [(message.message_id, int(message.headers["Number"])) for message in messages]


async def test_rows_go_out_in_the_order_of_their_commits_and_leave_the_table(line: Pipeline) -> None:
    messages = [told(line, number, aggregate="ab"[number % 2]) for number in range(250)]
    async with line.relaying():
        for start in range(0, 250, 50):
            await commit(line, *messages[start : start + 50])
        await eventually_awaited(lambda: none_pending(line))

    assert await stored(line) == expected(messages)


async def test_a_missing_stream_delays_only_its_own_lane(line: Pipeline) -> None:
    await line.nc.jetstream(timeout=PATIENCE_S).delete_stream(line.subjects.stream(Family.DEAD))
    dead = [told(line, number, family=Family.DEAD) for number in range(3)]
    events = [told(line, number) for number in range(3)]
    async with line.relaying():
        await commit(line, *dead)
        await commit(line, *events)
        await eventually_awaited(lambda: same(line, Family.EVENT, events))
        await eventually_awaited(lambda: pends(line, 3))

        await line.nc.jetstream(timeout=PATIENCE_S).add_stream(
            name=line.subjects.stream(Family.DEAD), subjects=[line.subjects.full("dead.>")]
        )
        await eventually_awaited(lambda: none_pending(line))

    assert await stored(line, Family.DEAD) == expected(dead)


async def same(line: Pipeline, family: Family, messages: Sequence[OutboxMessage]) -> bool:
    return await stored(line, family) == expected(messages)


async def test_a_full_stream_keeps_its_rows_until_there_is_room(
    shared_server: EmbeddedServer, prefix: str, database: Database
) -> None:
    async with pipeline(shared_server.url, prefix, database, Limits(max_bytes=2**20)) as line:
        work = [told(line, number, family=Family.WORK, size=100_000) for number in range(15)]
        async with line.relaying():
            await commit(line, *work)
            await eventually_awaited(lambda: holds(line, Family.WORK, 10))
            await commit(line, event := told(line, 1))
            await eventually_awaited(lambda: same(line, Family.EVENT, [event]))
            await eventually_awaited(lambda: pends(line, 5))

            await line.nc.jetstream(timeout=PATIENCE_S).purge_stream(line.subjects.stream(Family.WORK))
            await eventually_awaited(lambda: none_pending(line))

        assert await stored(line, Family.WORK) == expected(work)[10:]
        assert (
            line.metrics.registry.get_sample_value(
                "headgate_outbox_published_total", {"lane": line.subjects.stream(Family.WORK), "outcome": "refused"}
            )
            == 0
        )


async def holds(line: Pipeline, family: Family, count: int) -> bool:
    return await line.in_stream(family) == count


async def test_a_row_that_can_never_be_published_is_set_aside_and_shown(line: Pipeline) -> None:
    before, after = told(line, 1), told(line, 3)
    hopeless = told(line, 2, size=line.nc.max_payload + 1)
    async with line.relaying():
        await commit(line, before, hopeless, after)
        await eventually_awaited(lambda: none_pending(line))

    assert await stored(line) == expected([before, after])
    depth = await line.database.read(lambda uow: uow.outbox.depth())
    assert (depth.pending, depth.failed) == (0, 1)
    finding = await outbox_check(line.database, now_micros, oldest_s=60)()
    assert (finding.status, "1 refused for good" in finding.detail) == (Status.DEGRADED, True)
    refused = {"lane": line.subjects.stream(Family.EVENT), "outcome": "refused"}
    assert line.metrics.registry.get_sample_value("headgate_outbox_published_total", refused) == 1


async def test_nothing_is_lost_or_doubled_while_the_server_is_away(tmp_path: Path, database: Database) -> None:
    server = EmbeddedServer(tmp_path / "store", tmp_path / "state", sync="interval")
    await server.start()
    messages: list[OutboxMessage] = []
    async with pipeline(server.url, "hg", database) as line, line.relaying():
        for away in range(3):
            messages += (some := [told(line, number) for number in range(away * 40, away * 40 + 40)])
            await commit(line, *some[:20])
            await server.stop()
            await eventually(lambda: not line.nc.is_connected)
            await commit(line, *some[20:])
            assert await pending(line) >= 20
            await server.start()
            await eventually_awaited(lambda: none_pending(line))
        assert await stored(line) == expected(messages)
    await server.stop()


async def test_what_is_published_and_cannot_be_noted_is_not_published_again(
    line: Pipeline, database_file: Path
) -> None:
    messages = [told(line, number) for number in range(20)]
    seen = await watch_subject(line, "event.>")
    await commit(line, *messages)
    with ExitStack() as lock:
        lock.enter_context(locked(database_file))
        async with line.relaying():
            await eventually(lambda: len(seen) == 20)
            await commit_fails(line)
            lock.close()
            await eventually_awaited(lambda: none_pending(line))

    assert len(seen) == 20
    assert await stored(line) == expected(messages)


async def commit_fails(line: Pipeline) -> None:
    """The database takes no write at this moment: the relay cannot have noted anything since."""
    with pytest.raises(StorageAway):
        await line.database.write(lambda uow: uow.leases.now())


async def watch_subject(line: Pipeline, pattern: str) -> list[Msg]:
    """Every publish to the pattern, those included that a stream takes for known."""
    seen: list[Msg] = []

    async def keep(message: Msg) -> None:
        seen.append(message)

    await line.nc.subscribe(line.subjects.full(pattern), cb=keep)
    await line.nc.flush()
    return seen


async def left_behind(line: Pipeline, folder: Path, age: int) -> list[OutboxMessage]:
    """Rows of a daemon that was killed: the first two of three were published and never removed."""
    messages = [told(line, number) for number in range(3)]
    await commit(line, *messages, owner="killed", age=age)
    (folder / "daemon-id").write_text("killed\n")
    rows = await line.database.read(
        lambda uow: uow.outbox.waiting(
            owner="killed", lane=line.subjects.stream(Family.EVENT), limit=10, max_bytes=2**20
        )
    )
    await StreamPublisher(line.nc).publish(line.subjects.stream(Family.EVENT), [_outgoing(row) for row in rows[:2]])
    return messages


async def test_rows_of_a_killed_daemon_are_inherited_and_not_doubled(line: Pipeline, tmp_path: Path) -> None:
    messages = await left_behind(line, tmp_path, age=0)
    await commit(line, told(line, 9), owner="alive")

    await adopt_outbox(line.database, tmp_path, DAEMON)
    async with line.relaying():
        await eventually_awaited(lambda: same(line, Family.EVENT, messages))
        await eventually_awaited(lambda: holds_pending(line, 1))

    assert (tmp_path / "daemon-id").read_text() == f"{DAEMON}\n"


async def holds_pending(line: Pipeline, count: int) -> bool:
    return await pending(line) == count


async def test_inherited_rows_too_old_for_the_stream_to_know_are_looked_up(line: Pipeline, tmp_path: Path) -> None:
    messages = await left_behind(line, tmp_path, age=TEN_MINUTES)
    seen = await watch_subject(line, "event.>")

    await adopt_outbox(line.database, tmp_path, DAEMON)
    async with line.relaying():
        await eventually_awaited(lambda: none_pending(line))
        await line.nc.flush()

    assert await stored(line) == expected(messages)
    assert [message.data.strip() for message in seen] == [b"2"]


async def test_a_flush_returns_when_every_lane_is_empty(line: Pipeline) -> None:
    async with line.relaying():
        await commit(
            line, *(told(line, number, family=family) for number, family in enumerate((Family.EVENT, Family.DEAD)))
        )
        await asyncio.wait_for(line.relay.flush(), PATIENCE_S)
        assert await pending(line) == 0


async def test_a_daemon_relays_its_own_rows_alone(line: Pipeline, database: Database) -> None:
    mine, theirs = told(line, 1), told(line, 2)
    async with line.relaying():
        await commit(line, theirs, owner="another")
        await commit(line, mine)
        await eventually_awaited(lambda: same(line, Family.EVENT, [mine]))
        await eventually_awaited(lambda: pends(line, 1))
    running = asyncio.create_task(line.make_relay(owner="another").run())
    await eventually_awaited(lambda: none_pending(line))
    await cancel_and_wait([running])
    assert await stored(line) == expected([mine, theirs])


async def test_what_a_round_does_not_expect_is_tried_again_and_ends_nothing(
    line: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of another form than the server's, say: seen while a cluster chose a leader."""
    messages = [told(line, number) for number in range(3)]
    publish, broken = line.relay._publisher.publish, [KeyError("subject")]

    async def once_broken(lane: str, outgoing: Sequence[Outgoing]) -> Sequence[Published]:
        if broken:
            raise broken.pop()
        return await publish(lane, outgoing)

    monkeypatch.setattr(line.relay._publisher, "publish", once_broken)
    await commit(line, *messages)
    async with line.relaying():
        await eventually_awaited(lambda: none_pending(line))

    assert await stored(line) == expected(messages)
