import asyncio
from dataclasses import replace

import pytest
from nats.aio.client import Client
from nats.js.kv import KeyValue

from adapters.errors import IncompatibleStreamsError, JetStreamError
from adapters.nats.jetstream_api import Json, api_request, section
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.provisioning import ensure_stream, provision
from adapters.nats.streams.topology import Limits, topology, work_consumers
from contracts.errors import JsonValue
from contracts.subjects import DURABLE, Family, Subjects
from contracts.values.work import WorkType
from daemon.maintenance.work_consumers import WorkConsumers

LIMITS = Limits(max_bytes=1_000_000, max_age_s=3600, ack_wait_s=30, max_deliver=50, max_ack_pending=1234)


@pytest.fixture
def subjects(prefix: str) -> Subjects:
    return Subjects(prefix)


async def stream_config(nc: Client, name: str) -> Json:
    return section(await api_request(nc, f"STREAM.INFO.{name}"), "config")


async def consumer_config(nc: Client, stream: str, name: str) -> Json:
    return section(await api_request(nc, f"CONSUMER.INFO.{stream}.{name}"), "config")


async def create_stream(nc: Client, name: str, patterns: list[str], **config: JsonValue) -> None:
    body: Json = {"name": name, "subjects": [*patterns], "storage": "file", **config}
    await api_request(nc, f"STREAM.CREATE.{name}", body)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (Family.INGEST, {"retention": "limits", "discard": "new", "max_age": 0}),
        (Family.CALLBACK, {"retention": "limits", "discard": "new", "max_age": 0}),
        (Family.WORK, {"retention": "workqueue", "discard": "new", "max_age": 0}),
        (Family.REPLAY, {"retention": "limits", "discard": "old", "max_age": 3600 * 10**9}),
        (Family.EVENT, {"retention": "limits", "discard": "old", "max_age": 3600 * 10**9}),
        (Family.DEAD, {"retention": "limits", "discard": "old", "max_age": 3600 * 10**9}),
    ],
)
async def test_each_family_has_its_stream(nc: Client, subjects: Subjects, family: Family, expected: Json) -> None:
    await provision(nc, topology(subjects, LIMITS))

    config = await stream_config(nc, subjects.stream(family))

    common: Json = {"storage": "file", "max_bytes": 1_000_000, "allow_atomic": True, "num_replicas": 1}
    assert {key: config.get(key) for key in (*common, *expected)} == {**common, **expected}
    assert config["subjects"] == list(subjects.patterns(family))


async def test_each_type_of_work_has_a_consumer_that_waits_as_long_as_its_deadline(
    nc: Client, subjects: Subjects
) -> None:
    deadlines_s = {**dict.fromkeys(WorkType, 3_600.0), WorkType.PUBLISH: 45.0}
    for _ in range(2):  # the second time nothing is to be changed
        await provision(nc, topology(subjects, replace(LIMITS, work_deadlines_s=deadlines_s)))

    stream = subjects.stream(Family.WORK)
    render = await consumer_config(nc, stream, "headgate-work-job-render")
    assert (render["filter_subject"], render["ack_policy"]) == (f"{subjects.prefix}.work.job.render", "explicit")
    assert (render["ack_wait"], render["max_deliver"]) == (3_600 * 10**9, -1)
    assert (await consumer_config(nc, stream, "headgate-work-publish"))["ack_wait"] == 60 * 10**9


async def test_a_consumer_of_somebody_else_keeps_its_work_until_it_is_removed(nc: Client, subjects: Subjects) -> None:
    """An upgrade must not take work away from workers that run."""
    stream, consumers = subjects.stream(Family.WORK), work_consumers(subjects, LIMITS)
    for wanted in topology(subjects, LIMITS).streams:
        await ensure_stream(nc, wanted)
    js = nc.jetstream()
    await js.pull_subscribe(f"{subjects.prefix}.work.publish", durable="publishers", stream=stream)

    await provision(nc, topology(subjects, LIMITS))
    kept = WorkConsumers(nc, consumers)
    await kept.step()
    (reason,) = kept.in_the_way
    advice = "bind its workers to headgate-work-publish, remove it"
    assert reason == f"another consumer takes {subjects.prefix}.work.publish: {advice}"
    await js.delete_consumer(stream, "publishers")
    await kept.step()
    assert kept.in_the_way == []
    assert (await consumer_config(nc, stream, "headgate-work-publish"))["filter_subject"]


async def test_events_and_control_share_a_stream(nc: Client, subjects: Subjects) -> None:
    await provision(nc, topology(subjects, LIMITS))

    config = await stream_config(nc, subjects.named("EVENT"))

    assert config["subjects"] == [f"{subjects.prefix}.event.>", f"{subjects.prefix}.control.>"]


async def test_each_durable_family_has_its_consumer(nc: Client, subjects: Subjects) -> None:
    await provision(nc, topology(subjects, LIMITS))

    for family in DURABLE:
        config = await consumer_config(nc, subjects.stream(family), f"headgate-{family}")
        assert (config["ack_policy"], config["ack_wait"]) == ("explicit", 30 * 10**9)
        assert (config["max_deliver"], config["max_ack_pending"]) == (50, 1234)
    advisories = await consumer_config(nc, subjects.advisory_stream, "headgate-given-up")
    assert advisories["max_deliver"] == -1


async def test_the_buckets_serve_the_client_library(nc: Client, subjects: Subjects) -> None:
    await provision(nc, topology(subjects, LIMITS))
    js = nc.jetstream()

    views: KeyValue = await js.key_value(subjects.status_bucket)
    first = await views.create("job.1", b"one")
    await views.update("job.1", b"two", last=first)
    assert (await views.get("job.1")).value == b"two"
    with pytest.raises(Exception, match="wrong last sequence"):
        await views.update("job.1", b"stale", last=first)

    assets = await js.object_store(subjects.assets_bucket)
    await assets.put("a", b"bytes")
    assert (await assets.get("a")).data == b"bytes"
    await assets.delete("a")


async def test_a_second_time_changes_nothing(nc: Client, subjects: Subjects) -> None:
    wanted = topology(subjects, LIMITS)
    await provision(nc, wanted)
    before = [await api_request(nc, f"STREAM.INFO.{stream.name}") for stream in wanted.streams]

    await provision(nc, wanted)

    after = [await api_request(nc, f"STREAM.INFO.{stream.name}") for stream in wanted.streams]
    assert [(info["config"], info["created"]) for info in before] == [
        (info["config"], info["created"]) for info in after
    ]


async def test_two_daemons_at_once_both_succeed(nats_server: EmbeddedServer, nc: Client, subjects: Subjects) -> None:
    import nats

    others = [await nats.connect(nats_server.url) for _ in range(3)]

    await asyncio.gather(*(provision(client, topology(subjects, LIMITS)) for client in (nc, *others)))

    for stream in topology(subjects, LIMITS).streams:
        assert await stream_config(nc, stream.name)
    for client in others:
        await client.close()


async def test_settings_that_changed_are_applied_and_an_operators_own_are_kept(nc: Client, subjects: Subjects) -> None:
    await provision(nc, topology(subjects, LIMITS))
    ingest = subjects.named("INGEST")
    config = await stream_config(nc, ingest)
    await api_request(nc, f"STREAM.UPDATE.{ingest}", {**config, "description": "ours", "allow_direct": True})

    await provision(nc, topology(subjects, replace(LIMITS, max_bytes=2_000_000, max_deliver=60)))

    config = await stream_config(nc, ingest)
    assert (config["max_bytes"], config["description"], config["allow_direct"]) == (2_000_000, "ours", True)
    assert (await consumer_config(nc, ingest, "headgate-ingest"))["max_deliver"] == 60


async def test_what_would_lose_messages_is_put_right(nc: Client, subjects: Subjects) -> None:
    ingest, pattern = subjects.named("INGEST"), f"{subjects.prefix}.ingest.>"
    await create_stream(nc, ingest, [pattern], discard="old", max_age=10**12, max_msgs=5, max_msgs_per_subject=1)
    filtered: Json = {
        "durable_name": "headgate-ingest",
        "ack_policy": "explicit",
        "filter_subject": f"{subjects.prefix}.ingest.one",
        "backoff": [10**9, 2 * 10**9],
        "max_deliver": 5,
    }
    await api_request(
        nc, f"CONSUMER.DURABLE.CREATE.{ingest}.headgate-ingest", {"stream_name": ingest, "config": filtered}
    )

    await provision(nc, topology(subjects, LIMITS))

    config = await stream_config(nc, ingest)
    assert (config["discard"], config["max_age"], config["max_msgs"]) == ("new", 0, -1)
    assert config["max_msgs_per_subject"] == -1
    consumer = await consumer_config(nc, ingest, "headgate-ingest")
    assert "filter_subject" not in consumer
    assert "backoff" not in consumer
    assert consumer["ack_wait"] == 30 * 10**9


async def test_an_incompatible_stream_stops_the_start_and_every_difference_is_named(
    nc: Client, subjects: Subjects
) -> None:
    prefix = subjects.prefix
    await create_stream(nc, subjects.named("INGEST"), [f"{prefix}.ingest.>", f"{prefix}.more"], storage="memory")
    await create_stream(nc, subjects.named("WORK"), [f"{prefix}.work.>"], deny_delete=True)
    await create_stream(nc, subjects.named("CALLBACK"), [f"{prefix}.callback.>"])
    consumer: Json = {"durable_name": "headgate-callback", "ack_policy": "all", "deliver_subject": "somewhere"}
    callback = subjects.named("CALLBACK")
    await api_request(
        nc, f"CONSUMER.DURABLE.CREATE.{callback}.headgate-callback", {"stream_name": callback, "config": consumer}
    )

    with pytest.raises(IncompatibleStreamsError) as refused:
        await provision(nc, topology(subjects, LIMITS))

    assert set(refused.value.differences) == {
        f"{subjects.named('INGEST')}: storage is memory, must be file",
        f"{subjects.named('INGEST')}: listens to {prefix}.more too, must not",
        f"{subjects.named('WORK')}: retention is limits, must be workqueue",
        f"{subjects.named('WORK')}: deny_delete is set, must not be",
        f"{callback}/headgate-callback: ack_policy is all, must be explicit",
        f"{callback}/headgate-callback: deliver_subject is set, must not be",
    }
    assert "\n" not in str(refused.value)
    with pytest.raises(JetStreamError, match="stream not found"):
        await stream_config(nc, subjects.named("EVENT"))  # nothing was made beside it


async def test_a_stream_of_another_owner_on_our_subjects_is_named(nc: Client, subjects: Subjects) -> None:
    await create_stream(nc, f"{subjects.prefix}-foreign", [f"{subjects.prefix}.ingest.x"])

    with pytest.raises(JetStreamError, match=f"STREAM.CREATE.{subjects.named('INGEST')}: subjects overlap"):
        await provision(nc, topology(subjects, LIMITS))
