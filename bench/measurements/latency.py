"""Publish to receipt, one message at a time, against a running daemon; and how long the daemon takes to be ready."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.setting.daemon_process import Home, daemon, missing_rows
from bench.setting.messages import SUBJECT, Load
from bench.setting.server import connected
from bench.setting.streams import BenchError

WARM_UP: Final = 200
_RECEIPT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the publish to the receipt in hand."""

    samples: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def percentile(ordered: Sequence[float], percent: float) -> float:
    """By nearest rank."""
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


async def measure_latency(samples: int, work_dir: Path) -> Latency:
    """The daemon runs on its embedded server: every message is on disk twice before its receipt goes out."""
    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure()
        async with daemon(home) as running, connected(running.nats_url) as client:
            taken = await _round_trips(client, samples)
        if faults := missing_rows(home, samples + WARM_UP):
            raise BenchError(f"headgate was wrong: {'; '.join(faults)}")
    ordered = sorted(taken[WARM_UP:])
    p50, p90, p99 = (percentile(ordered, percent) * 1_000 for percent in (50, 90, 99))
    return Latency(len(ordered), p50, p90, p99, ordered[-1] * 1_000)


async def _round_trips(client: Client, samples: int) -> list[float]:
    """Seconds for each message, warm-up included."""
    receipts: asyncio.Queue[tuple[float, Msg]] = asyncio.Queue()

    async def receive(receipt: Msg) -> None:
        receipts.put_nowait((time.perf_counter(), receipt))

    inbox = client.new_inbox()
    await client.subscribe(inbox, cb=receive)
    await client.flush()
    taken: list[float] = []
    for body in Load.of(WARM_UP + samples).bodies():
        started = time.perf_counter()
        await client.publish(SUBJECT, body, headers={"Headgate-Receipt": inbox})
        ended, receipt = await asyncio.wait_for(receipts.get(), _RECEIPT_TIMEOUT_S)
        outcome = orjson.loads(receipt.data)["payload"]
        if outcome["outcome"] != "accepted":
            raise BenchError(f"a message was not accepted: {outcome}")
        taken.append(ended - started)
    return taken


async def measure_start(rounds: int, work_dir: Path) -> list[float]:
    """Seconds from the command line to ready, each time with an empty database and a new embedded server."""
    taken: list[float] = []
    for _ in range(rounds):
        with TemporaryDirectory(dir=work_dir) as folder:
            home = Home(Path(folder))
            home.configure()
            async with daemon(home) as running:
                taken.append(running.ready_s)
    return taken
