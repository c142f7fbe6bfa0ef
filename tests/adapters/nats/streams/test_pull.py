import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.nats.streams.large_turn import LargeTurn
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Limits, topology
from contracts.gate.delivery import Delivery
from contracts.subjects import Subjects
from tests.adapters.nats.streams.pulling import CONSUMER, PullOf, fill, info, take
from tests.adapters.nats.waiting import eventually, eventually_awaited
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kills


async def test_messages_come_in_order_with_the_facts_of_the_stream(
    nc: Client, prefix: str, stream: str, pull_of: PullOf
) -> None:
    await fill(nc, prefix, 3)
    pull = pull_of()
    await pull.start()

    taken = await take(pull, 3)

    assert [delivery.sequence for delivery in taken] == [1, 2, 3]
    assert {(d.subject, d.stream, d.delivered, d.body) for d in taken} == {("ingest.k", stream, 1, b"x")}
    assert [delivery.headers["number"] for delivery in taken] == ["0", "1", "2"]
    assert pull.healthy


async def test_take_hands_out_at_most_the_limit_and_the_rest_next_time(
    nc: Client, prefix: str, pull_of: PullOf
) -> None:
    await fill(nc, prefix, 10)
    pull = pull_of()
    await pull.start()
    await eventually(lambda: pull.buffered == 10)

    assert len(pull.take_nowait(4)) == 4
    assert len(await pull.take(100)) == 6
    assert pull.take_nowait(100) == []


async def test_what_is_acknowledged_is_not_delivered_again(
    nc: Client, prefix: str, stream: str, pull_of: PullOf
) -> None:
    await fill(nc, prefix, 5)
    pull = pull_of()
    await pull.start()
    taken = await take(pull, 5)

    assert await pull.ack(taken) == 5

    async def settled() -> bool:
        state = await info(nc, stream)
        return state.num_ack_pending == 0 and state.ack_floor is not None and state.ack_floor.stream_seq == 5

    await eventually_awaited(settled)


async def test_no_more_than_the_window_is_held_however_much_waits(
    nc: Client, prefix: str, stream: str, pull_of: PullOf
) -> None:
    """The buffer that nobody takes from is the back-pressure; nothing is dropped by the client."""
    await fill(nc, prefix, 500)
    pull = pull_of(window=100)
    await pull.start()
    await eventually(lambda: pull.buffered == 100)

    taken = await take(pull, 500)

    assert [delivery.sequence for delivery in taken] == list(range(1, 501))
    assert (await info(nc, stream)).num_redelivered == 0
    assert pull.buffered + pull.owed <= 100


async def test_a_message_given_back_comes_again_after_its_delay(nc: Client, prefix: str, pull_of: PullOf) -> None:
    await fill(nc, prefix, 1)
    pull = pull_of(ack_wait_s=60.0)
    await pull.start()
    [first] = await take(pull, 1)

    await pull.give_back(first, 0.3)
    started = asyncio.get_running_loop().time()
    [second] = await take(pull, 1)

    assert (second.sequence, second.delivered) == (first.sequence, 2)
    assert asyncio.get_running_loop().time() - started >= 0.25


async def test_a_terminated_message_is_never_delivered_again_and_says_why(
    nc: Client, prefix: str, stream: str, pull_of: PullOf
) -> None:
    reasons: list[bytes] = []

    async def advisory(message: Msg) -> None:
        reasons.append(message.data)

    await nc.subscribe(f"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{stream}.{CONSUMER}", cb=advisory)
    await fill(nc, prefix, 1)
    pull = pull_of()
    await pull.start()
    [delivery] = await take(pull, 1)

    await pull.term(delivery, "no\nuse")

    await eventually(lambda: reasons)
    assert b'"reason":"no use"' in reasons[0]


async def test_work_in_progress_is_not_delivered_again(nc: Client, prefix: str, stream: str, pull_of: PullOf) -> None:
    await fill(nc, prefix, 2)
    pull = pull_of()
    await pull.start()
    kept, neglected = await take(pull, 2)

    again: list[Delivery] = []
    while not again:
        await pull.in_progress(kept)
        again = pull.take_nowait(10)
        await asyncio.sleep(0.05)

    assert [delivery.sequence for delivery in again] == [neglected.sequence]
    assert (await info(nc, stream)).num_ack_pending == 2


async def test_what_waits_in_the_buffer_does_not_expire_even_in_a_pause(
    nc: Client, prefix: str, stream: str, pull_of: PullOf
) -> None:
    """A long pause uses up no delivery. The fourth message, worked on by nobody, marks when the others would expire."""
    await fill(nc, prefix, 3)
    pull = pull_of()
    await pull.start()
    await eventually(lambda: pull.buffered == 3)
    await pull.pause()
    other = await nc.jetstream().pull_subscribe_bind(CONSUMER, stream)
    await fill(nc, prefix, 1)
    [neglected] = await other.fetch(1, timeout=PATIENCE_S)

    [again] = await other.fetch(1, timeout=PATIENCE_S)  # its own expiry, and nobody else's

    assert neglected.metadata.sequence.stream == again.metadata.sequence.stream == 4
    assert pull.take_nowait(10) == []
    await pull.resume()
    assert [delivery.sequence for delivery in await take(pull, 3)] == [1, 2, 3]


async def test_a_paused_pull_takes_no_new_messages(nc: Client, prefix: str, stream: str, pull_of: PullOf) -> None:
    pull = pull_of()
    await pull.start()
    await pull.pause()
    await pull.pause()
    await fill(nc, prefix, 3)

    async def all_pending() -> bool:
        return (await info(nc, stream)).num_pending == 3

    await eventually_awaited(all_pending)
    assert pull.buffered == 0
    await pull.resume()
    assert len(await take(pull, 3)) == 3


async def test_drain_gives_back_what_nobody_took_at_once(nc: Client, prefix: str, stream: str, pull_of: PullOf) -> None:
    await provision(nc, topology(Subjects(prefix), Limits(ack_wait_s=3600)))
    await fill(nc, prefix, 10)
    first = pull_of(ack_wait_s=3600)
    await first.start()
    await eventually(lambda: first.buffered == 10)
    worked_on = first.take_nowait(4)

    assert await first.drain() == 6
    assert await first.take(10) == []
    assert await first.drain() == 0

    second = pull_of(ack_wait_s=3600)
    await second.start()
    assert sorted(delivery.sequence for delivery in await take(second, 6)) == [5, 6, 7, 8, 9, 10]
    assert await first.ack(worked_on) == 4


async def test_a_waiting_take_ends_when_the_pull_is_drained(pull_of: PullOf) -> None:
    pull = pull_of()
    await pull.start()
    waiting = asyncio.create_task(pull.take(10))
    await eventually(lambda: pull.owed)

    await pull.drain()

    assert await waiting == []


async def test_an_expired_request_is_followed_by_another(nc: Client, prefix: str, stream: str, pull_of: PullOf) -> None:
    requests: list[bytes] = []

    async def request(message: Msg) -> None:
        requests.append(message.data)

    await nc.subscribe(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}", cb=request)
    pull = pull_of(expires_s=1.0, heartbeat_s=0.4)
    await pull.start()
    await eventually(lambda: len(requests) >= 3 and pull.owed == 4000)

    await fill(nc, prefix, 1)

    assert len(await take(pull, 1)) == 1
    assert pull.owed == 3999


async def test_messages_larger_than_the_byte_window_still_come(nc: Client, prefix: str, pull_of: PullOf) -> None:
    await fill(nc, prefix, 6, body=b"y" * 4_000_000)
    await fill(nc, prefix, 3)
    await fill(nc, prefix, 2, body=b"y" * 900_000)
    pull = pull_of(request_bytes=1_000, ack_wait_s=60.0)
    await pull.start()

    taken: list[Delivery] = []
    for _ in range(11):
        taken += await take(pull, 1)
        await pull.ack(taken[-1:])

    assert [len(delivery.body) for delivery in taken] == [4_000_000] * 6 + [1] * 3 + [900_000] * 2


async def test_of_large_messages_one_is_in_hand_at_a_time_whichever_pulls_ask(
    nc: Client, prefix: str, pull_of: PullOf
) -> None:
    await fill(nc, prefix, 6, body=b"y" * 2_000_000)
    turn = LargeTurn()
    pulls = [pull_of(ack_wait_s=60.0, large=turn) for _ in range(2)]
    for pull in pulls:
        await pull.start()
    for number in range(6):
        await eventually(lambda: sum(pull.buffered for pull in pulls) == 1)
        [holder] = [pull for pull in pulls if pull.buffered]
        [delivery] = await holder.take(10)
        await nc.flush()
        assert sum(pull.buffered for pull in pulls) == 0
        if number % 2:
            await holder.ack([delivery])
        else:
            await holder.give_back(delivery)


async def test_a_message_up_to_the_byte_limit_needs_no_turn(nc: Client, prefix: str, pull_of: PullOf) -> None:
    await fill(nc, prefix, 9, body=b"y" * 250_000)
    pull = pull_of(ack_wait_s=60.0)
    await pull.start()

    assert len(await take(pull, 9)) == 9
