"""A producer that sends what no client library would: each message is kept as a dead letter, and stops nobody."""

from pathlib import Path

import nats
import orjson
import pytest

from tests.adapters.nats.waiting import eventually_awaited
from tests.contracts.samples import envelope, usage
from tests.faults.load import all_worked_on, reading
from tests.support.commands import get
from tests.support.daemons import eventually, running_daemon
from tests.support.raw_client import publish_raw

pytestmark = pytest.mark.process

PLAIN = b"NATS/1.0\r\n\r\n"
SUBJECTS = [b"\xff\xfe", b"a\x0bb", b"a\x00b", b"\xc2\xa0", b"x" * 3_900]
HEADERS = [b"NATS/1.0 503 gone\r\n\r\n", b"NATS/1.0", b"NATS/1.0\r\nA: \xff\x00\r\n\r\n", b"nonsense"]
BODIES = [b"", bytes(range(256)), b"[" * 100_000, b'{"a":' + b"9" * 10_000 + b"}", b"x" * 2**20]


async def test_whatever_bytes_are_published_each_is_kept_once_and_the_daemon_goes_on(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        url = daemon.nats_url
        good = orjson.dumps(envelope(usage(), message_id="good"))
        for subject in SUBJECTS:
            await publish_raw(url, b"hg.ingest." + subject, PLAIN, good)
        for headers in HEADERS:
            await publish_raw(url, b"hg.ingest.session.usage", headers, b"{")
        for body in BODIES:
            await publish_raw(url, b"hg.ingest.session.usage", PLAIN, body)
        await publish_raw(url, b"hg.ingest.session.usage", PLAIN, good)

        count = len(SUBJECTS) + len(HEADERS) + len(BODIES)
        await eventually_awaited(lambda: all_worked_on(url, come=count + 1))
        with reading(daemon.database) as ask:
            assert ask("SELECT message_id FROM session_usage") == [("good",)]
            assert ask("SELECT count(*), count(DISTINCT sequence) FROM dead_letters") == [(count, count)]
            assert {row[0] for row in ask("SELECT code FROM dead_letters")} == {"VALIDATION_ERROR", "PAYLOAD_TOO_LARGE"}
            assert sorted(
                len(row[0]) for row in ask("SELECT body FROM dead_letters WHERE code = 'PAYLOAD_TOO_LARGE'")
            ) == [2**20]
            eventually(lambda: ask("SELECT count(*) FROM outbox") == [(0,)])
        client = await nats.connect(url)
        assert (await client.jetstream().stream_info("HG_DEAD")).state.messages == count
        await client.close()
        assert get(f"{daemon.http_url}/readyz")[0] == 200
        assert not daemon.events("nats_disconnected")
        assert not daemon.events("poison message")


REPLAYS = [
    PLAIN,
    b"NATS/1.0\r\nHeadgate-Dead-Letter: a\x00b\r\nHeadgate-Replay: 1\r\n\r\n",
    b"NATS/1.0\r\nHeadgate-Dead-Letter: \xff\r\nHeadgate-Replay: 1\r\n\r\n",
    b"NATS/1.0\r\nHeadgate-Dead-Letter: " + b"x" * 100_000 + b"\r\nHeadgate-Replay: 1\r\n\r\n",
    b"NATS/1.0\r\nHeadgate-Dead-Letter: x\r\nHeadgate-Replay: -1\r\n\r\n",
    b"NATS/1.0\r\nHeadgate-Dead-Letter: x\r\nHeadgate-Replay: 999999999\r\n\r\n",
]


async def test_forged_replays_and_deliveries_have_no_effect_and_are_counted(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        url = daemon.nats_url
        for headers in REPLAYS:
            await publish_raw(url, b"hg.replay.x", headers, b"{}")
        least = len(REPLAYS) - 1  # the server itself may refuse the largest headers
        stored = await eventually_awaited(lambda: all_acknowledged(url, "HG_REPLAY", "headgate-replay", least))

        metrics = get(f"{daemon.http_url}/metrics")[1].decode()
        assert f'headgate_forged_total{{stream="HG_REPLAY"}} {stored}.0' in metrics
        with reading(daemon.database) as ask:
            assert ask("SELECT count(*) FROM dead_letters") == [(0,)]
        assert get(f"{daemon.http_url}/readyz")[0] == 200


async def all_acknowledged(url: str, stream: str, consumer: str, least: int) -> int:
    """How many messages there are, once so many have come and all are acknowledged."""
    client = await nats.connect(url)
    stored = (await client.jetstream().stream_info(stream)).state.last_seq
    floor = (await client.jetstream().consumer_info(stream, consumer)).ack_floor
    await client.close()
    return stored if floor is not None and floor.stream_seq == stored >= least else 0
