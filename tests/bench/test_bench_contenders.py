"""Each contender works a real stream off, completely; one that loses a message is found out."""

import asyncio
from pathlib import Path

import orjson
import pytest

from bench.measurements.intake import CONTENDERS, Contender, Script, race_once
from bench.setting.messages import Load
from bench.setting.server import connected, fresh_server
from bench.setting.streams import CONSUMER, INGEST, BenchError, ConsumerWatch, fill, make_streams

SCRIPTS = [contender for contender in CONTENDERS if isinstance(contender, Script)]


@pytest.mark.process
@pytest.mark.parametrize("contender", SCRIPTS, ids=lambda contender: contender.module)
def test_a_contender_acknowledges_every_message(contender: Contender, tmp_path: Path) -> None:
    root = tmp_path / "contender"
    root.mkdir()
    done = asyncio.run(race_once(contender, Load.of(1_000), root))
    assert done.messages == 1_000
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
        pull = await client.jetstream().pull_subscribe_bind(CONSUMER, INGEST)
        for message in await pull.fetch(10):
            await message.ack_sync()
        with pytest.raises(BenchError, match="began after the contender"):
            await ConsumerWatch(client, CONSUMER).until(last, Idle(), timeout_s=10)
