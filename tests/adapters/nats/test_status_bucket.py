"""The status bucket: clients see the newest version of a view, whoever relays an older one late."""

import asyncio
import random
from collections.abc import Callable, Sequence

import nats
import orjson
import pytest
from nats.aio.client import Client

from adapters.nats.jetstream_api import api_request, integer, section
from adapters.nats.outgoing import Outgoing, Published, PublishStatus
from adapters.nats.publisher import StreamPublisher
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.status_bucket import LanePublisher, StatusBucket, version_in
from adapters.nats.streams.provisioning import ensure_stream
from adapters.nats.streams.topology import Limits, status_bucket
from contracts.subjects import Subjects
from tests.support.waiting import PATIENCE_S


class Bucket:
    """One bucket and a writer to it, as a daemon has one."""

    def __init__(self, nc: Client, subjects: Subjects) -> None:
        self._nc = nc
        self._subjects = subjects
        self._publisher = StreamPublisher(nc)
        self.writer = StatusBucket(nc, self._publisher)

    @classmethod
    async def made(cls, nc: Client, prefix: str) -> "Bucket":
        subjects = Subjects(prefix)
        await ensure_stream(nc, status_bucket(subjects, Limits()))
        return cls(nc, subjects)

    def restarted(self) -> "Bucket":
        """The same bucket by a writer that knows nothing yet."""
        return Bucket(self._nc, self._subjects)

    def view(self, key: str, version: int, message_id: str | None = None) -> Outgoing:
        body = orjson.dumps({"version": version, "status": f"of version {version}"})
        return Outgoing(self._subjects.status_key(key), body, message_id or f"{key}-{version}-{random.random()}")

    async def write(self, *views: Outgoing) -> list[Published]:
        return await self.writer.publish(self._subjects.status_lane, views)

    async def version(self, key: str) -> int:
        """What a client reads."""
        bucket = await self._nc.jetstream().key_value(self._subjects.status_bucket)
        return version_in((await bucket.get(key)).value or b"")

    async def writes(self) -> int:
        """How often anything was written."""
        info = await api_request(self._nc, f"STREAM.INFO.{self._subjects.status_lane}")
        return integer(section(info, "state"), "last_seq")


async def test_each_version_takes_the_place_of_the_one_before(nc: Client, prefix: str) -> None:
    bucket = await Bucket.made(nc, prefix)

    for version in (1, 2, 5):
        (answer,) = await bucket.write(bucket.view("job.a", version))
        assert answer.outcome is PublishStatus.STORED

    assert await bucket.version("job.a") == 5


@pytest.mark.parametrize("writer", [lambda bucket: bucket, Bucket.restarted], ids=["same", "restarted"])
async def test_an_older_version_is_done_with_and_changes_nothing(
    nc: Client, prefix: str, writer: Callable[[Bucket], Bucket]
) -> None:
    bucket = await Bucket.made(nc, prefix)
    await bucket.write(bucket.view("job.a", 7))

    answers = [await writer(bucket).write(bucket.view("job.a", version)) for version in (1, 6, 7)]

    assert [answer.is_settled for (answer,) in answers] == [True] * 3
    assert (await bucket.version("job.a"), await bucket.writes()) == (7, 1)


async def test_of_several_versions_at_once_only_the_newest_is_written(nc: Client, prefix: str) -> None:
    bucket = await Bucket.made(nc, prefix)

    answers = await bucket.write(*(bucket.view("job.a", version) for version in (2, 9, 4)), bucket.view("job.b", 1))

    assert all(answer.is_settled for answer in answers)
    assert (await bucket.version("job.a"), await bucket.version("job.b"), await bucket.writes()) == (9, 1, 2)


async def test_many_entries_go_out_in_one_batch(nc: Client, prefix: str) -> None:
    bucket = await Bucket.made(nc, prefix)
    first = await bucket.write(*(bucket.view(f"job.{number}", 1) for number in range(300)))
    second = await bucket.write(*(bucket.view(f"job.{number}", 2) for number in range(300)))

    assert {answer.outcome for answer in first + second} == {PublishStatus.STORED}
    assert await bucket.writes() == 600
    assert [await bucket.version(f"job.{number}") for number in (0, 299)] == [2, 2]


async def test_a_writer_that_starts_anew_goes_on_from_what_lies_there(nc: Client, prefix: str) -> None:
    bucket = await Bucket.made(nc, prefix)
    await bucket.write(*(bucket.view(f"job.{number}", 1 + number % 5) for number in range(40)))

    answers = await bucket.restarted().write(*(bucket.view(f"job.{number}", 3) for number in range(40)))

    assert all(answer.is_settled for answer in answers)
    assert [await bucket.version(f"job.{number}") for number in range(10)] == [3, 3, 3, 4, 5] * 2


async def test_the_same_message_again_is_no_second_write(nc: Client, prefix: str) -> None:
    bucket = await Bucket.made(nc, prefix)
    view = bucket.view("job.a", 4, "one-id")
    await bucket.write(view)

    (again,) = await bucket.restarted().write(view)

    assert again.is_settled
    assert await bucket.writes() == 1


async def test_writers_that_race_never_let_a_version_go_back(nc: Client, prefix: str) -> None:
    bucket = await Bucket.made(nc, prefix)
    writers = [bucket, bucket.restarted(), bucket.restarted()]
    history = await nc.jetstream().subscribe(f"$KV.{prefix.upper()}_STATUS.>", ordered_consumer=True)

    async def relay(writer: Bucket, versions: Sequence[int]) -> None:
        for version in versions:
            answer = Published(PublishStatus.UNAVAILABLE)
            while not answer.is_settled:
                (answer,) = await writer.write(bucket.view("job.a", version))

    versions = list(range(1, 31))
    await asyncio.gather(*(relay(writer, versions[at::3]) for at, writer in enumerate(writers)))

    assert await bucket.version("job.a") == 30
    seen = [version_in((await history.next_msg(PATIENCE_S)).data) for _ in range(await bucket.writes())]
    assert seen == sorted(set(seen))
    await history.unsubscribe()


async def test_a_server_that_is_away_only_delays(own_server: EmbeddedServer, prefix: str) -> None:
    client = await nats.connect(own_server.url, allow_reconnect=False, error_cb=_ignored, closed_cb=_nothing)
    bucket = await Bucket.made(client, prefix)
    await own_server.stop()

    (answer,) = await bucket.write(bucket.view("job.a", 9))

    assert answer.outcome in (PublishStatus.UNAVAILABLE, PublishStatus.UNKNOWN)
    await client.close()


async def _ignored(_error: Exception) -> None:
    return None


async def _nothing() -> None:
    return None


async def test_other_lanes_are_published_plainly(nc: Client, prefix: str) -> None:
    bucket = await Bucket.made(nc, prefix)
    stream = f"{prefix}plain".upper()
    await api_request(nc, f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{prefix}plain.>"]})
    lanes = LanePublisher(StreamPublisher(nc), {Subjects(prefix).status_lane: bucket.writer})

    plain = await lanes.publish(stream, [Outgoing(f"{prefix}plain.a", b'{"version": 1}', str(n)) for n in range(2)])
    special = await lanes.publish(Subjects(prefix).status_lane, [bucket.view("job.a", 2), bucket.view("job.a", 1)])

    assert [answer.outcome for answer in plain] == [PublishStatus.STORED] * 2
    assert [answer.outcome for answer in special] == [PublishStatus.STORED, PublishStatus.DUPLICATE]


def test_what_is_no_view_has_no_version() -> None:
    assert [version_in(body) for body in (b"", b"[]", b'{"version": "3"}', b'{"version": 3}')] == [0, 0, 0, 3]
