"""A process that dies again and again: the pipeline goes on, and only what kills is set aside."""

import asyncio
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import nats
import orjson
import pytest

from adapters.nats.server.embedded_server import EmbeddedServer
from domain.intake.suspects import GROUP
from tests.adapters.nats.waiting import eventually_awaited
from tests.contracts.samples import envelope, usage
from tests.faults.killing_daemon import MARK
from tests.faults.load import all_worked_on
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, eventually
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.slow]

KILLING = (sys.executable, str(Path(__file__).with_name("killing_daemon.py")))
MESSAGES = 8_000
KILLS = 10


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[str]:
    """A server that outlives the daemon, so that its streams can be filled while no daemon runs."""
    running = EmbeddedServer(folder / "store", folder / "state", sync="interval")
    await running.start()
    try:
        yield running.url
    finally:
        await running.stop()


def external(url: str) -> str:
    """What a dead daemon held comes again by itself only after five minutes."""
    return f'[nats]\nmode = "external"\nurl = "{url}"\n[intake]\nack_wait_s = 300\n'


async def publish(url: str, names: Iterable[str]) -> None:
    bodies = [orjson.dumps(envelope(usage(), message_id=name)) for name in names]
    client = await nats.connect(url)
    stream = client.jetstream()
    for start in range(0, len(bodies), 500):
        await asyncio.gather(
            *(
                stream.publish("hg.ingest.session.usage", body, timeout=PATIENCE_S)
                for body in bodies[start : start + 500]
            )
        )
    await client.close()


def stored(database: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=PATIENCE_S)) as connection:
        return connection.execute(query).fetchall()


def count(daemon: DaemonProcess) -> int:
    [(found,)] = stored(daemon.database, "SELECT count(*) FROM session_usage")
    return int(str(found))


async def work_off(daemon: DaemonProcess, url: str) -> float:
    """Start the daemon and wait until nothing is left in the stream; how many transactions it took."""
    await asyncio.to_thread(daemon.start)
    await eventually_awaited(lambda: all_worked_on(url))
    shown = get(f"{daemon.http_url}/metrics")[1].decode()
    return float(re.findall(r"^headgate_batch_size_count (\S+)$", shown, re.MULTILINE)[0])


def has_messages_in_hand(note: Path) -> bool:
    """Whether this life of the process has taken something in hand: its note begins with a line that names nothing."""
    return note.exists() and any(line.startswith(b'{"working":{"') for line in note.read_bytes().splitlines())


async def test_after_ten_kills_only_what_the_dead_had_in_hand_is_worked_on_in_small_groups(tmp_path: Path) -> None:
    """Transactions decide the speed, and are counted: a machine's mood has no part in it. What the dead held and nobody
    gave back would come only after the deadline of the test."""
    async with server(tmp_path / "nats") as url:
        daemon = DaemonProcess(tmp_path / "home", external(url))
        try:
            await work_off(daemon, url)
            assert await asyncio.to_thread(daemon.terminate) == 0
            await publish(url, (f"before-{number}" for number in range(MESSAGES)))
            calm = await work_off(daemon, url)
            assert await asyncio.to_thread(daemon.terminate) == 0

            await publish(url, (f"storm-{number}" for number in range(MESSAGES)))
            in_hand = partial(has_messages_in_hand, daemon.state_dir / "in-hand")
            sent = 2 * MESSAGES
            for _ in range(KILLS):
                await asyncio.to_thread(daemon.start)
                await asyncio.to_thread(eventually, in_hand)
                await asyncio.to_thread(daemon.kill9)
                if sent - count(daemon) < MESSAGES / 2:  # the test got the processor late, and much was worked on
                    await publish(url, (f"more-{number}" for number in range(sent, sent + MESSAGES)))
                    sent += MESSAGES
            left = sent - count(daemon)
            after = await work_off(daemon, url)
            suspects = int(str(daemon.events("predecessor_died")[-1]["suspects"]))
            print(f"{calm:.0f} transactions undisturbed; then {after:.0f} for {left} with {suspects} suspects")  # noqa: T201 - figures
            assert stored(daemon.database, "SELECT count(*) FROM session_usage") == [(sent,)]
            assert stored(daemon.database, "SELECT count(*) FROM dead_letters") == [(0,)]
            assert left > MESSAGES / 3
            assert suspects
            # A death while a group of suspects is in hand leaves that group to be worked on one by one.
            apart = suspects / GROUP + KILLS * GROUP
            assert after <= apart + 2 * calm * max(1, left / MESSAGES) + KILLS
        finally:
            await asyncio.to_thread(daemon.end)


async def test_a_message_that_kills_is_a_dead_letter_after_five_deaths_and_its_neighbours_arrive(
    tmp_path: Path,
) -> None:
    async with server(tmp_path / "nats") as url:
        daemon = DaemonProcess(tmp_path / "home", external(url), program=KILLING)
        try:
            await work_off(daemon, url)
            assert await asyncio.to_thread(daemon.terminate) == 0
            names = [f"neighbour-{number}" for number in range(600)]
            await publish(url, [*names[:250], f"{MARK}1", *names[250:]])
            deaths = 0
            while True:
                await asyncio.to_thread(daemon.start, wait=False)
                ended = asyncio.create_task(asyncio.to_thread(daemon.wait_end))
                done = asyncio.create_task(eventually_awaited(lambda: letters(daemon)))
                await asyncio.wait([ended, done], return_when=asyncio.FIRST_COMPLETED)
                if done.done():
                    break
                done.cancel()
                deaths += 1
                assert deaths <= 5
            await eventually_awaited(lambda: all_worked_on(url))
            ended.cancel()
            assert stored(daemon.database, "SELECT count(*) FROM session_usage") == [(600,)]
            [(code, sequence)] = stored(daemon.database, "SELECT code, sequence FROM dead_letters")
            assert (code, sequence) == ("INTERNAL_ERROR", 251)
        finally:
            await asyncio.to_thread(daemon.end)


async def letters(daemon: DaemonProcess) -> bool:
    return bool(stored(daemon.database, "SELECT 1 FROM dead_letters"))
