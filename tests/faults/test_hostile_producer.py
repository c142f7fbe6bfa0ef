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

        await eventually_awaited(lambda: all_worked_on(url))

        count = len(SUBJECTS) + len(HEADERS) + len(BODIES)
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
