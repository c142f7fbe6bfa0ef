"""Messages that came too early: which may still wait, and how long they are kept in hand."""

import nats
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.topology import Limits, topology
from contracts.errors import ErrorCode, problem
from contracts.gate.delivery import Delivery, Judged, Refused
from contracts.subjects import Family, Subjects
from daemon.intake.reordering import KEEP_S, TRY_AGAIN_S, OlderMessages, WaitingRoom, nothing_older
from tests.support.waiting import PATIENCE_S

WHY = problem(ErrorCode.INVALID_TRANSITION, "not yet")


def delivery(sequence: int) -> Delivery:
    return Delivery("callback.job.j", b"", {}, "HG_CALLBACK", sequence, 1, 0, f"$JS.ACK.{sequence}")


def judged(sequence: int, why: str = "first") -> Judged:
    return Refused(WHY, "job.status", why, None, delivery(sequence))


def clear(held: list[int], batch: list[int], floor: int) -> list[int]:
    found = nothing_older(list(map(delivery, held)), list(map(delivery, batch)), floor)
    return [each.sequence for each in found]


@pytest.mark.parametrize(
    ("held", "batch", "floor", "expected"),
    [
        ([5], [5], 4, [5]),  # everything before it is acknowledged
        ([5], [5], 3, []),  # 4 is somewhere else
        ([5], [4, 5], 3, [5]),  # 4 came along with it
        ([5, 9], [4, 5, 9], 3, [5]),  # 6 to 8 are somewhere else
        ([5], [5], 7, [5]),  # acknowledged long ago, delivered again
    ],
)
def test_nothing_older_is_open_outside_the_batch(
    held: list[int], batch: list[int], floor: int, expected: list[int]
) -> None:
    assert clear(held, batch, floor) == expected


@given(st.sets(st.integers(1, 30), min_size=1), st.sets(st.integers(1, 30)), st.integers(0, 30))
def test_it_agrees_with_looking_at_each_sequence(batch: set[int], held: set[int], floor: int) -> None:
    held &= batch
    open_elsewhere = {number for number in range(floor + 1, 31) if number not in batch}

    assert clear(sorted(held), sorted(batch), floor) == [
        number for number in sorted(held) if not any(other < number for other in open_elsewhere)
    ]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_waits_is_tried_again_in_the_order_of_the_stream_until_it_is_let_go() -> None:
    clock = Clock()
    room = WaitingRoom(touch_every_s=20, clock=clock)
    later, sooner = judged(9), judged(7)
    assert room.keep(later)
    assert room.keep(sooner)
    assert room.due() == []

    clock.now += TRY_AGAIN_S
    assert room.due() == [sooner, later]
    room.let_go(sooner)
    assert room.keep(later)
    clock.now += TRY_AGAIN_S
    assert room.due() == [later]
    room.let_go(later)
    assert (len(room), room.due(), room.empty()) == (0, [], [])


def test_what_waited_too_long_is_to_be_given_back() -> None:
    clock = Clock()
    room = WaitingRoom(touch_every_s=20, clock=clock)
    room.keep(judged(1))
    clock.now += KEEP_S
    assert room.keep(judged(1))
    clock.now += 0.1
    assert not room.keep(judged(1))


def test_a_redelivery_takes_the_place_of_what_waits() -> None:
    room = WaitingRoom(touch_every_s=20, clock=Clock())
    room.keep(judged(1, "first"))
    room.keep(judged(1, "second"))

    assert room.empty() == [judged(1, "second")]


def test_the_server_hears_in_time_that_what_waits_is_not_forgotten() -> None:
    clock = Clock()
    room = WaitingRoom(touch_every_s=2, clock=clock)
    room.keep(judged(1))
    clock.now += 1.5
    room.keep(judged(2))
    assert room.to_touch() == []
    clock.now += 0.5
    assert room.to_touch() == [judged(1)]
    assert room.to_touch() == []


async def test_the_floor_is_asked_of_the_server(shared_server: EmbeddedServer, prefix: str) -> None:
    nc: Client = await nats.connect(shared_server.url)
    subjects = Subjects(prefix)
    await provision(nc, topology(subjects, Limits()))
    stream, consumer = subjects.stream(Family.CALLBACK), subjects.consumer(Family.CALLBACK)
    older = OlderMessages(nc, stream, consumer)
    for _ in range(3):
        await nc.jetstream(timeout=PATIENCE_S).publish(f"{prefix}.callback.job.a", b"{}")
    pull = ContinuousPull(nc, stream=stream, consumer=consumer, prefix=prefix)
    await pull.start()
    taken: list[Delivery] = []
    while len(taken) < 3:
        taken += await pull.take(3)

    assert await older.none_outstanding(taken[2:], taken[2:]) == []
    assert await older.none_outstanding(taken[1:], taken) == taken[1:]
    await pull.drain()
    await nc.close()
    assert await older.none_outstanding(taken[2:], taken) == [], "a server that does not answer proves nothing"
