"""What strangers send to a bridge, and what lies in its journal that no bridge of this version wrote."""

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import orjson
import pytest_asyncio
from nats.aio.msg import Msg
from nats.js.api import KeyValueConfig, StorageType

from tests.adapters.providers.replicate_server import PROCESSING, STARTING, succeeded
from tests.daemon.bridge.bridge_harness import Pipeline, metric, pipeline

GARBAGE = (b"", b"{", b"[]", b"7", b"{}", b'{"phase":"running","pending":[7]}', b'{"phase":"asleep","pending":[]}')
FORGED = (b"", b"{", b"[]", b"{}", b'{"error":7}', b'{"seq":"7"}', b'{"stream":7,"seq":{}}', b'{"message":{"data":7}}')


@pytest_asyncio.fixture
async def pipe(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with pipeline(tmp_path) as running:
        yield running


async def test_malformed_work_is_refused_counted_and_not_delivered_again(pipe: Pipeline) -> None:
    async with pipe.bridge() as running:
        await pipe.js.publish("hg.work.job.render", b"{not json")
        await pipe.dispatch(work_id="w 2")
        await pipe.dispatch(work_id="w-3", attempt=0)
        await pipe.dispatch(work_id="w-4", callback_subject="hg.cmd.job.cancel")
        await pipe.dispatch(work_id="w-5", callback_subject="other.callback.job.j-1")
        await pipe.until_acknowledged()
        assert await metric(running, "headgate_bridge_errors_total", reason="malformed_work") == 5
    assert pipe.replicate.requests == []


async def test_a_journal_with_garbage_in_it_keeps_no_bridge_from_its_work(pipe: Pipeline) -> None:
    journal = await pipe.js.create_key_value(KeyValueConfig("HG_BRIDGE", storage=StorageType.FILE))
    for number, value in enumerate(GARBAGE):
        await journal.put(f"replicate.work.garbage-{number}", value)
    pipe.replicate.lives.append([STARTING, succeeded()])

    async with pipe.bridge(ack_wait_s=0.3) as running:
        await pipe.dispatch()
        await pipe.last_payload("READY")
        await pipe.until_acknowledged()
        assert not running.over.is_set()


async def test_work_whose_entry_cannot_be_read_begins_no_second_prediction_until_it_is_removed(pipe: Pipeline) -> None:
    journal = await pipe.js.create_key_value(KeyValueConfig("HG_BRIDGE", storage=StorageType.FILE))
    await journal.put("replicate.work.w-1", b"[]")
    pipe.replicate.lives.append([succeeded()])

    async with pipe.bridge():
        await pipe.dispatch()
        await pipe.until_consumer(lambda consumer: consumer.num_redelivered > 0)
        assert pipe.replicate.requests == []
        assert (await journal.get("replicate.work.w-1")).value == b"[]"

        await journal.delete("replicate.work.w-1")
        await pipe.last_payload("READY")

    assert len(pipe.replicate.of("create")) == 1


async def test_an_entry_of_a_newer_bridge_is_gone_on_with(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([PROCESSING])
    settings = pipe.configure()
    async with pipe.bridge(settings):
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
    journal = await pipe.js.key_value("HG_BRIDGE")
    entry = orjson.loads((await journal.get("replicate.work.w-1")).value or b"")
    await journal.put("replicate.work.w-1", orjson.dumps(entry | {"a_later_field": [1]}))
    pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())

    async with pipe.bridge(settings):
        await pipe.last_payload("READY")

    assert len(pipe.replicate.of("create")) == 1


async def test_forged_answers_end_no_bridge(pipe: Pipeline) -> None:
    stranger = await nats.connect(pipe.server.url)
    inboxes: set[str] = set()

    async def overhear(message: Msg) -> None:
        """Requests tell where their answers arrive."""
        if message.reply not in inboxes:
            inboxes.add(message.reply)
            for body in FORGED:
                await stranger.publish(message.reply, body)

    pipe.replicate.lives.append([STARTING, PROCESSING, PROCESSING, succeeded()])
    async with pipe.bridge(ack_wait_s=0.3) as running:
        for subject in ("$JS.API.>", "$KV.HG_BRIDGE.>"):
            await stranger.subscribe(subject, cb=overhear)
        await stranger.flush()
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
        await stranger.close()
        assert inboxes, "the bridge asks the server while it works"
        await pipe.last_payload("READY")
        await pipe.until_acknowledged()
        assert not running.over.is_set()
