"""Producers that never give up, and the account that must hold when everything is over."""

import asyncio
import contextlib
import itertools
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import nats
import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.cancellation import cancel_and_wait
from tests.contracts.samples import Json, envelope, usage
from tests.support.connections import ignored
from tests.support.databases import PostgresServer
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

INVALID_EVERY, DUPLICATE_EVERY = 9, 11
_PRODUCERS = 4
_PACE_S = 0.003
"""A thousand messages a second of all: enough to be in the middle of something at any moment."""
SEED_VARIABLE = "HEADGATE_TEST_SEED"


def chance() -> random.Random:
    """Chance that can be had again: the seed is printed, and taken from the environment where it is given."""
    seed = int(os.environ.get(SEED_VARIABLE, random.SystemRandom().randrange(2**32)))
    print(f"{SEED_VARIABLE}={seed}")  # noqa: T201 - shown where the test fails
    return random.Random(seed)


def fixed_server(more: str = "") -> str:
    """Settings whose embedded server is found again after a crash; what nobody acknowledged comes back soon."""
    return f"""
[nats]
port = {free_port()}
[intake]
ack_wait_s = 2
[storage]
busy_timeout_ms = 500
{more}
"""


@dataclass
class Load:
    """What was published and confirmed: valid ones by name with their tokens, and how many invalid ones."""

    valid: dict[str, int] = field(default_factory=dict)
    invalid: int = 0

    @property
    def size(self) -> int:
        return len(self.valid) + self.invalid


class Producer:
    """Publishes until told to stop. A message counts once the stream confirmed it; until then it is published again."""

    def __init__(self, client: Client, name: str, load: Load) -> None:
        self._client = client
        self._name = name
        self._load = load

    async def run(self, stop: asyncio.Event) -> None:
        for number in itertools.count(1):
            name = f"{self._name}:{number}"
            if number % INVALID_EVERY == 0:
                await self._publish(name, envelope(usage(input_tokens=-1), message_id=name))
                self._load.invalid += 1
            else:
                payload = usage(session_id=f"session-{number % 7}", input_tokens=number, cost_usd="0.000100")
                await self._publish(name, envelope(payload, message_id=name))
                self._load.valid[name] = number
                if number % DUPLICATE_EVERY == 0:
                    await self._publish(f"{name}:again", envelope(payload, message_id=name))
            if stop.is_set():
                return
            await asyncio.sleep(_PACE_S)

    async def _publish(self, nats_id: str, body: Json) -> None:
        """Until it is confirmed; the stream knows a repetition by its id."""
        stream = self._client.jetstream()
        raw = orjson.dumps(body)
        while True:
            try:
                await stream.publish("hg.ingest.session.usage", raw, timeout=1, headers={"Nats-Msg-Id": nats_id})
            except (NatsError, OSError):
                await asyncio.sleep(0.02)
            else:
                return


async def connected(url: str) -> Client:
    """A connection that outlives every outage."""

    return await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, connect_timeout=1, error_cb=ignored
    )


@asynccontextmanager
async def load_on(url: str) -> AsyncIterator[Load]:
    """Several producers publish within the block; at its end everything is confirmed."""
    load, stop = Load(), asyncio.Event()
    clients = [await connected(url) for _ in range(_PRODUCERS)]
    running = [
        asyncio.create_task(Producer(client, f"p{number}", load).run(stop)) for number, client in enumerate(clients)
    ]
    try:
        yield load
        stop.set()
        await asyncio.wait_for(asyncio.gather(*running), PATIENCE_S)
    finally:
        await cancel_and_wait(running)
        for client in clients:
            with contextlib.suppress(NatsError, OSError):
                await client.close()


async def all_worked_on(url: str, *, come: int = 0) -> bool:
    """Nothing is left in the consumer, acknowledged or not, of all that the stream has, and at least *come* messages
    have come: the server stores what nobody waits for a moment after it has taken it, and tells the consumer of what it
    has stored a moment after it has confirmed it."""
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        state = (await stream.stream_info("HG_INGEST")).state
        info = await stream.consumer_info("HG_INGEST", "headgate-ingest")
    except (NatsError, TimeoutError):
        return False
    else:
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        # A message that a full disk refused may have left its number behind, in a stream that holds nothing.
        stored = state.last_seq if state.messages else 0
        return not info.num_pending and not info.num_ack_pending and floor >= max(come, stored)
    finally:
        await client.close()


Ask: TypeAlias = Callable[[str], list[tuple[Json, ...]]]
"""A query to the rows that it finds."""


@contextlib.contextmanager
def reading(database: Path) -> Iterator[Ask]:
    """Asks a SQLite database beside the daemon."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=PATIENCE_S)) as connection:
        yield lambda statement: connection.execute(statement).fetchall()


def asking(server: PostgresServer, database: str) -> Ask:
    """Asks a PostgreSQL database beside the daemon; figures and text without blanks alone."""

    def ask(statement: str) -> list[tuple[Json, ...]]:
        lines = server.execute(statement, database).splitlines()
        return [tuple(int(cell) if cell.isdigit() else cell for cell in line.split("|")) for line in lines]

    return ask


def outbox_is_empty(database: Path) -> bool:
    with reading(database) as ask:
        return nothing_to_tell(ask)


def nothing_to_tell(ask: Ask) -> bool:
    return ask("SELECT count(*) FROM outbox") == [(0,)]


def expect_account(database: Path, load: Load) -> None:
    """As :func:`expect_exact`, of a SQLite database."""
    with reading(database) as ask:
        expect_exact(ask, load)


def expect_exact(ask: Ask, load: Load) -> None:
    """Nothing confirmed is lost, nothing is stored twice, and every total is what its rows sum up to."""
    stored = sorted(ask("SELECT message_id, input_tokens FROM session_usage"))
    assert stored == sorted(load.valid.items())
    assert ask("SELECT count(*) FROM inbox") == [(len(load.valid),)]
    letters = ask("SELECT code, count(*) FROM dead_letters GROUP BY code")
    assert letters == ([("VALIDATION_ERROR", load.invalid)] if load.invalid else [])
    sums = "count(*), sum(input_tokens), sum(output_tokens), sum(cost_usd_micros)"
    totals = "sum(requests), sum(input_tokens), sum(output_tokens), sum(cost_usd_micros)"
    [expected] = ask(f"SELECT {sums} FROM session_usage")
    assert ask(f"SELECT {totals} FROM session_ledger") == [expected]
    assert ask(f"SELECT {totals} FROM daily_usage_agg") == [expected]
    assert ask("SELECT sum(requests) FROM model_perf_agg") == [expected[:1]]
    by_session = "SELECT session_id, {} FROM {} GROUP BY session_id ORDER BY session_id"
    assert ask(by_session.format(totals, "session_ledger")) == ask(by_session.format(sums, "session_usage"))


async def expect_letters_told_once(url: str, database: Path) -> None:
    """As :func:`expect_told_once`, of a SQLite database."""
    with reading(database) as ask:
        await expect_told_once(url, ask)


async def expect_told_once(url: str, ask: Ask) -> None:
    """Every dead letter has exactly one message, and no message speaks of another."""
    kept = sorted(str(row[0]) for row in ask("SELECT dead_letter_id FROM dead_letters"))
    client = await nats.connect(url)
    stream = client.jetstream()
    messages = (await stream.stream_info("HG_DEAD")).state.messages
    subscription = await stream.pull_subscribe("hg.dead.>", stream="HG_DEAD")
    told: list[str] = []
    while len(told) < messages:
        for message in await subscription.fetch(min(500, messages - len(told)), timeout=PATIENCE_S):
            told.append(orjson.loads(message.data)["payload"]["dead_letter_id"])
            await message.ack()
    await client.close()
    assert sorted(told) == kept
