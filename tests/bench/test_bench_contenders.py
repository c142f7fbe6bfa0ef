"""Each contender works a real stream off, completely; one that loses a message is found out."""

import asyncio
from pathlib import Path

import orjson
import pytest

from bench.measurements.intake import CONTENDERS, Script, race_once
from bench.setting.messages import Load
from bench.setting.server import connected, fresh_server
from bench.setting.streams import CONSUMER, INGEST, BenchError, ConsumerWatch, fill, make_streams
from tests.support.waiting import PATIENCE_S

SCRIPTS = [contender for contender in CONTENDERS if isinstance(contender, Script)]


@pytest.mark.process
@pytest.mark.parametrize("contender", SCRIPTS, ids=lambda script: script.module)
def test_a_contender_acknowledges_every_message(contender: Script, tmp_path: Path) -> None:
    root = tmp_path / "contender"
    root.mkdir()
    # One at a time so few that each is acknowledged before the server delivers it again, also on a busy machine.
    count = 200 if contender.module == "faststream_handler" else 1_000
    done = asyncio.run(race_once(contender, Load.of(count), root))
    assert done.messages == count
    assert done.redelivered == 0


def test_a_contender_that_took_too_few_is_at_fault(tmp_path: Path) -> None:
    (tmp_path / "contender.out").write_bytes(orjson.dumps({"messages": 999}))
    assert Script("one", "bare_pull").faults(tmp_path, 1_000) == ["messages: 999 instead of 1,000"]


def test_a_contender_that_says_nothing_is_at_fault(tmp_path: Path) -> None:
    (tmp_path / "contender.out").touch()
    assert Script("one", "bare_pull").faults(tmp_path, 1_000) == ["it did not say what it did"]


class Idle:
    """A worker that lives and says nothing."""

    def ended(self) -> bool:
        return False

    def last_words(self) -> str:
        return ""


@pytest.mark.process
async def test_a_watch_that_begins_after_the_work_measures_nothing(tmp_path: Path) -> None:
    async with fresh_server(tmp_path) as url, connected(url) as client:
        await make_streams(client, consumers=True)
        last = await fill(client, Load.of(10).bodies())
        pull = await client.jetstream(timeout=PATIENCE_S).pull_subscribe_bind(CONSUMER, INGEST)
        for message in await pull.fetch(10):
            await message.ack_sync()
        with pytest.raises(BenchError, match="began after the contender"):
            await ConsumerWatch(client, CONSUMER).until(last, Idle(), timeout_s=10)
