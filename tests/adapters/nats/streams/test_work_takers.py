"""Who takes work, as the server tells it; and messages found and deleted wherever they lie."""

import time
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.nats.acks import delivery_of
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.stored_messages import (
    delete_message,
    message_at,
    sequence_of_message,
    sequences_of_messages,
    settled_until,
)
from adapters.nats.streams.topology import Limits, topology
from adapters.nats.streams.work_takers import subject_matches, takings
from contracts.subjects import Family, Subjects, work_consumer
from tests.support.waiting import PATIENCE_S

PUBLISH, ANALYSE = "work.publish", "work.item.analyse"


@pytest.fixture
def names(prefix: str) -> Subjects:
    return Subjects(prefix)


@pytest.fixture
async def stream(nc: Client, names: Subjects) -> str:
    await provision(nc, topology(names, Limits(max_bytes=10_000_000)))
    return names.stream(Family.WORK)


def micros() -> int:
    return time.time_ns() // 1_000


async def put(nc: Client, subject: str, message_id: str) -> int:
    ack = await nc.jetstream().publish(subject, b"{}", headers={"Nats-Msg-Id": message_id})
    return ack.seq


async def test_work_without_a_consumer_is_taken_by_nobody(nc: Client, names: Subjects, stream: str) -> None:
    await nc.jetstream().delete_consumer(stream, work_consumer("publish"))

    found = await takings(nc, stream, [names.full(PUBLISH)])

    assert found[names.full(PUBLISH)].asked is False
    assert found[names.full(PUBLISH)].active_at is None


async def test_work_that_waits_is_asked_for_only_by_whoever_pulls(nc: Client, names: Subjects, stream: str) -> None:
    js, subject, other = nc.jetstream(), names.full(PUBLISH), names.full(ANALYSE)
    await put(nc, subject, "1")
    await put(nc, other, "2")
    worker = await js.pull_subscribe_bind(work_consumer("publish"), stream)
    assert (await takings(nc, stream, [subject]))[subject].asked is False

    before = micros()
    (message,) = await worker.fetch(1, timeout=PATIENCE_S)

    found = await takings(nc, stream, [subject, other])
    active_at = found[subject].active_at
    assert found[subject].asked is True
    assert active_at is not None
    assert abs(active_at - before) < 60_000_000
    assert found[other].asked is False
    await message.ack()


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        ("hg.work.publish", "hg.work.publish", True),
        ("hg.work.>", "hg.work.item.analyse", True),
        ("hg.work.*", "hg.work.item.analyse", False),
        ("hg.work.*.analyse", "hg.work.item.analyse", True),
        ("hg.work.item", "hg.work.item.analyse", False),
        ("hg.work.publish.>", "hg.work.publish", False),
        ("hg.work.publish.x", "hg.work.publish", False),
    ],
)
def test_a_pattern_stands_for_subjects_as_the_server_reads_it(pattern: str, subject: str, *, matches: bool) -> None:
    assert subject_matches(pattern, subject) is matches


async def test_a_message_is_found_by_its_id_among_others_of_its_subject(
    nc: Client, names: Subjects, stream: str
) -> None:
    subject, begun = names.full(PUBLISH), micros()
    sequences = {
        f"m{number}": await put(nc, subject if number % 3 else names.full(ANALYSE), f"m{number}")
        for number in range(1, 30)
    }

    for wanted in ("m1", "m14", "m29"):
        assert await sequence_of_message(nc, stream, subject, wanted, not_before=begun) == sequences[wanted]
    assert await sequence_of_message(nc, stream, subject, "never", not_before=begun) is None
    assert await sequence_of_message(nc, stream, subject, "m3", not_before=begun) is None


async def test_what_was_stored_long_before_is_not_looked_through(nc: Client, names: Subjects, stream: str) -> None:
    subject = names.full(PUBLISH)
    await put(nc, subject, "old")
    await put(nc, subject, "older than asked for")

    later = micros() + 3_600_000_000

    assert await sequence_of_message(nc, stream, subject, "old", not_before=later) is None


async def test_nothing_is_found_in_an_empty_stream_and_after_a_deletion(
    nc: Client, names: Subjects, stream: str
) -> None:
    subject = names.full(PUBLISH)
    assert await sequence_of_message(nc, stream, subject, "m", not_before=micros()) is None
    sequence = await put(nc, subject, "m")
    await put(nc, subject, "n")

    assert await delete_message(nc, stream, sequence) is True
    assert await delete_message(nc, stream, sequence) is False
    assert await message_at(nc, stream, sequence) is None
    assert await sequence_of_message(nc, stream, subject, "m", not_before=micros()) is None


async def test_everything_before_the_first_unacknowledged_message_is_settled(
    nc: Client, names: Subjects, stream: str
) -> None:
    callbacks, consumer, js = names.stream(Family.CALLBACK), names.consumer(Family.CALLBACK), nc.jetstream()
    assert await settled_until(nc, callbacks, consumer) is None
    for number in (1, 2):
        await put(nc, names.full("callback.item.x"), f"m{number}")
    worker = await js.pull_subscribe_bind(durable=consumer, stream=callbacks)
    first, second = await worker.fetch(2, timeout=PATIENCE_S)

    async def settled_at() -> int | None:
        await nc.flush()
        return await settled_until(nc, callbacks, consumer)

    assert await settled_at() == delivery_of(first, 0).stored_at
    await first.ack_sync()
    assert await settled_at() == delivery_of(second, 0).stored_at
    await second.ack_sync()
    assert await settled_at() is None


async def test_many_messages_of_one_subject_are_found_in_one_passage(
    nc: Client, names: Subjects, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, begun = names.full(PUBLISH), micros()
    sequences = {f"m{number}": await put(nc, subject, f"m{number}") for number in range(1, 41)}
    wanted = frozenset({"m2", "m17", "m40", "never"})
    asked: list[str] = []
    request = nc.request

    async def counting(to: str, *arguments: Any, **options: Any) -> Msg:
        asked.append(to)
        return await request(to, *arguments, **options)

    monkeypatch.setattr(nc, "request", counting)
    found = await sequences_of_messages(nc, stream, subject, wanted, not_before=begun)

    assert found == {message_id: sequences[message_id] for message_id in wanted - {"never"}}
    assert len(asked) < 2 * len(sequences)
