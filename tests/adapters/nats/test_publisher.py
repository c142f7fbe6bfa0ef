import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters.nats.jetstream_api import Json, api_request
from adapters.nats.outgoing import Outgoing, Published, PublishStatus
from adapters.nats.publisher import StreamPublisher
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.stored_messages import delete_message, last_message_of_subject, message_at
from contracts.errors import JsonValue
from tests.adapters.nats.waiting import eventually_awaited

pytestmark = pytest.mark.kills


@pytest_asyncio.fixture
async def publisher(nc: Client) -> AsyncIterator[StreamPublisher]:
    made = StreamPublisher(nc)
    yield made
    await made.close()


async def make_stream(nc: Client, prefix: str, **config: JsonValue) -> str:
    name = prefix.upper()
    body: Json = {"name": name, "subjects": [f"{prefix}.>"], "storage": "file", "allow_atomic": True, **config}
    await api_request(nc, f"STREAM.CREATE.{name}", body)
    return name


def outgoing(prefix: str, count: int, *, first: int = 0, body: bytes = b"{}", tried: bool = False) -> list[Outgoing]:
    numbers = range(first, first + count)
    return [Outgoing(f"{prefix}.k.{n}", body, f"{prefix}-{n}", {"trace": str(n)}, tried=tried) for n in numbers]


def outcomes(published: list[Published]) -> set[PublishStatus]:
    return {answer.outcome for answer in published}


@pytest.mark.parametrize("count", [1, 9, 10, 2500])
async def test_messages_are_stored_once_in_order_with_their_id(
    nc: Client, prefix: str, publisher: StreamPublisher, count: int
) -> None:
    stream = await make_stream(nc, prefix)

    published = await publisher.publish(stream, outgoing(prefix, count))

    assert published == [Published(PublishStatus.STORED, sequence) for sequence in range(1, count + 1)]
    last = await message_at(nc, stream, count)
    assert last is not None
    assert last.subject == f"{prefix}.k.{count - 1}"
    assert last.message_id == f"{prefix}-{count - 1}"
    assert last.headers["trace"] == str(count - 1)
    assert last.body == b"{}"


async def test_nothing_to_publish_is_no_work(nc: Client, prefix: str, publisher: StreamPublisher) -> None:
    assert await publisher.publish(prefix, []) == []


async def test_a_batch_that_was_committed_already_shows_as_duplicates(
    nc: Client, prefix: str, publisher: StreamPublisher
) -> None:
    """A retry of a whole batch is rejected as one; only single publishes tell that each message is there."""
    stream = await make_stream(nc, prefix)
    messages = outgoing(prefix, 50)
    await publisher.publish(stream, messages)

    again = await publisher.publish(stream, messages)

    assert again == [Published(PublishStatus.DUPLICATE, sequence) for sequence in range(1, 51)]


async def test_one_known_message_does_not_hold_up_a_batch(nc: Client, prefix: str, publisher: StreamPublisher) -> None:
    stream = await make_stream(nc, prefix)
    messages = outgoing(prefix, 20)
    await publisher.publish(stream, messages[7:8])

    published = await publisher.publish(stream, messages)

    assert [answer.outcome for answer in published] == [PublishStatus.STORED] * 7 + [PublishStatus.DUPLICATE] + [
        PublishStatus.STORED
    ] * 12


@pytest.mark.parametrize("count", [3, 30])
async def test_a_message_over_the_servers_limit_is_refused_alone(
    nc: Client, prefix: str, publisher: StreamPublisher, count: int
) -> None:
    """The server would answer it by closing the connection."""
    stream = await make_stream(nc, prefix)
    messages = outgoing(prefix, count)
    messages[1] = Outgoing(f"{prefix}.k", b"x" * nc.max_payload, "large")

    published = await publisher.publish(stream, messages)

    assert published[1].outcome is PublishStatus.REFUSED
    assert "over the server's limit" in published[1].reason
    assert outcomes(published[:1] + published[2:]) == {PublishStatus.STORED}
    assert nc.is_connected


async def test_a_message_at_the_servers_limit_is_stored(nc: Client, prefix: str, publisher: StreamPublisher) -> None:
    stream = await make_stream(nc, prefix)
    messages = [*outgoing(prefix, 12), Outgoing(f"{prefix}.k", b"x" * (nc.max_payload - 200), "large")]

    assert outcomes(await publisher.publish(stream, messages)) == {PublishStatus.STORED}


@pytest.mark.parametrize("count", [3, 30])
async def test_a_message_over_the_streams_limit_is_refused_alone(
    nc: Client, prefix: str, publisher: StreamPublisher, count: int
) -> None:
    stream = await make_stream(nc, prefix, max_msg_size=1000)
    messages = outgoing(prefix, count)
    messages[1] = Outgoing(f"{prefix}.k", b"x" * 2000, "large")

    published = await publisher.publish(stream, messages)

    assert (published[1].outcome, published[1].err_code) == (PublishStatus.REFUSED, 10054)
    assert outcomes(published[:1] + published[2:]) == {PublishStatus.STORED}


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("", {}),
        ("a b", {}),
        ("a..b", {}),
        (".a", {}),
        ("a.*", {}),
        ("a.>", {}),
        ("a\r\nPUB b", {}),
        ("a." + "b" * 3000, {}),
        ("a.\ud800", {}),
        ("a", {"": "x"}),
        ("a", {"x:": "y"}),
        ("a", {"x": "\ud800"}),
    ],
)
async def test_what_can_never_be_published_is_refused_alone(
    nc: Client, prefix: str, publisher: StreamPublisher, subject: str, headers: dict[str, str]
) -> None:
    stream = await make_stream(nc, prefix)
    bad = Outgoing(f"{prefix}.{subject}" if subject else "", b"", "bad", headers)

    published = await publisher.publish(stream, [bad, *outgoing(prefix, 1)])

    assert [answer.outcome for answer in published] == [PublishStatus.REFUSED, PublishStatus.STORED]
    assert published[0].reason.startswith(f"{stream}: ")


@pytest.mark.parametrize("count", [1, 30])
async def test_a_missing_stream_is_unavailable_not_refused(prefix: str, publisher: StreamPublisher, count: int) -> None:
    published = await publisher.publish("NONE", outgoing(prefix, count))

    assert outcomes(published) == {PublishStatus.UNAVAILABLE}
    assert published[0].reason == "NONE: no stream takes the subject"


@pytest.mark.parametrize("count", [5, 30])
async def test_a_full_stream_takes_the_first_messages_and_none_after_them(
    nc: Client, prefix: str, publisher: StreamPublisher, count: int
) -> None:
    stream = await make_stream(nc, prefix, max_msgs=4, discard="new")

    published = await publisher.publish(stream, outgoing(prefix, count))

    assert [answer.sequence for answer in published] == [1, 2, 3, 4, *[None] * (count - 4)]
    assert outcomes(published[4:]) == {PublishStatus.UNAVAILABLE}
    assert published[4].err_code == 10077


async def test_a_message_is_stored_only_on_the_sequence_that_it_expects(
    nc: Client, prefix: str, publisher: StreamPublisher
) -> None:
    stream = await make_stream(nc, prefix)

    def view(version: int, expected: int) -> Outgoing:
        return Outgoing(f"{prefix}.k", b"", f"v{version}", expected_last_subject_sequence=expected)

    [first] = await publisher.publish(stream, [view(1, 0)])
    [stale] = await publisher.publish(stream, [view(2, 0)])
    [second] = await publisher.publish(stream, [view(3, 1)])

    assert (first.outcome, first.is_settled) == (PublishStatus.STORED, True)
    assert (stale.outcome, stale.is_conflict) == (PublishStatus.REFUSED, True)
    assert second.sequence == 2


async def test_one_conflict_leaves_the_rest_of_a_batch_alone(
    nc: Client, prefix: str, publisher: StreamPublisher
) -> None:
    stream = await make_stream(nc, prefix)
    messages = outgoing(prefix, 20)
    messages[3] = Outgoing(f"{prefix}.k.3", b"", "stale", expected_last_subject_sequence=77)

    published = await publisher.publish(stream, messages)

    assert [index for index, answer in enumerate(published) if answer.is_conflict] == [3]
    assert outcomes(published[:3] + published[4:]) == {PublishStatus.STORED}


async def test_a_stream_without_batches_takes_the_messages_one_by_one(
    nc: Client, prefix: str, publisher: StreamPublisher
) -> None:
    stream = await make_stream(nc, prefix, allow_atomic=False)

    published = await publisher.publish(stream, outgoing(prefix, 30))

    assert [answer.sequence for answer in published] == list(range(1, 31))


async def test_concurrent_publishes_get_their_own_answers(nc: Client, prefix: str, publisher: StreamPublisher) -> None:
    stream = await make_stream(nc, prefix)

    many = await asyncio.gather(
        *(publisher.publish(stream, outgoing(prefix, 25, first=25 * n, tried=n % 2 == 0)) for n in range(8))
    )

    assert sorted(answer.sequence or 0 for published in many for answer in published) == list(range(1, 201))


@pytest.mark.process
@pytest.mark.parametrize("count", [3, 30])
async def test_no_answer_is_an_unknown_outcome_and_a_retry_clears_it_up(
    own_server: EmbeddedServer, nc_own: Client, prefix: str, count: int
) -> None:
    """A stopped process answers nothing but still takes the bytes: the publish happens when it goes on."""
    stream = await make_stream(nc_own, prefix)
    publisher, hasty = StreamPublisher(nc_own), StreamPublisher(nc_own, timeout_s=0.5)
    await publisher.publish(stream, outgoing(prefix, 1, first=999))
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)

    unknown = await hasty.publish(stream, outgoing(prefix, count))

    os.kill(own_server.pid, signal.SIGCONT)
    assert outcomes(unknown) == {PublishStatus.UNKNOWN}

    async def stored() -> bool:
        return await message_at(nc_own, stream, count + 1) is not None

    await eventually_awaited(stored)
    retried = await publisher.publish(stream, outgoing(prefix, count, tried=True))
    assert retried == [Published(PublishStatus.DUPLICATE, sequence) for sequence in range(2, count + 2)]


@pytest.mark.process
async def test_without_a_connection_nothing_is_sent(own_server: EmbeddedServer, nc_own: Client, prefix: str) -> None:
    stream = await make_stream(nc_own, prefix)
    publisher = StreamPublisher(nc_own)
    await own_server.stop()
    await eventually_awaited(lambda: _is_away(nc_own))

    published = await publisher.publish(stream, outgoing(prefix, 3))

    assert outcomes(published) == {PublishStatus.UNAVAILABLE}
    assert published[0].reason == "not connected to the server"


async def _is_away(nc: Client) -> bool:
    return not nc.is_connected


async def test_the_last_message_of_a_subject_is_found(nc: Client, prefix: str, publisher: StreamPublisher) -> None:
    stream = await make_stream(nc, prefix)
    messages = [
        Outgoing(f"{prefix}.a", b"1", "m1"),
        Outgoing(f"{prefix}.a", b"2", "m2"),
        Outgoing(f"{prefix}.b", b"3", "m3"),
    ]
    await publisher.publish(stream, messages)

    found = await last_message_of_subject(nc, stream, f"{prefix}.a")

    assert found is not None
    assert (found.sequence, found.message_id, found.body) == (2, "m2", b"2")
    assert await last_message_of_subject(nc, stream, f"{prefix}.none") is None


async def test_a_message_can_be_deleted_once(nc: Client, prefix: str, publisher: StreamPublisher) -> None:
    stream = await make_stream(nc, prefix)
    await publisher.publish(stream, outgoing(prefix, 2))

    assert await delete_message(nc, stream, 1)
    assert not await delete_message(nc, stream, 1)
    assert await message_at(nc, stream, 1) is None
    assert await message_at(nc, stream, 2) is not None
