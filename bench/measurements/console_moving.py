"""What changes while somebody looks at it: a job's state on its page, and a replay that is followed to its end."""

import asyncio
import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from nats.aio.client import Client

from bench.measurements.commands import Caller, envelope
from bench.measurements.latency import percentile
from bench.setting.streams import BenchError

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page

LISTED_JOBS: Final = 10_000
_TRANSITIONS: Final = 20
_TIMEOUT_S: Final = 240.0
_STATES: Final = (*["DONE"] * 6, "CREATED", "READY", "FAILED", "CANCELLED")
"""None in which work is in hand: the daemon would look after it."""

_INSERT_JOB: Final = """
INSERT INTO jobs (
    job_id, project_id, owner, status, version, title, progress, actual_cost_usd_micros, attempt, instruction_version,
    dispatch_attempt, last_sequence, created_at, updated_at
) VALUES (?, ?, ?, ?, 3, ?, 0.0, ?, 1, 0, 1, 3, ?, ?)
"""


def grow_jobs(path: Path, count: int = LISTED_JOBS) -> None:
    """*count* jobs of 40 owners."""
    dice = random.Random(2)
    start = time.time_ns() // 1_000 - count * 1_000_000

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            at = start + number * 1_000_000
            owner = number % 40
            yield (
                f"{at // 1_000:012x}"[:8] + f"-{at // 1_000 & 0xFFFF:04x}-7bbb-8ccc-{dice.getrandbits(48):012x}",
                *(str(uuid.UUID(int=owner)), f"owner-{owner}", dice.choice(_STATES), f"Film {number}"),
                *(dice.randrange(2_000_000), at, at),
            )

    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(_INSERT_JOB, rows())


_NOTE: Final = """() => {
    const main = document.querySelector('main');
    window.changed = new Promise((resolve) => {
        new MutationObserver(() => {
            if (/cancelled/i.test(main.querySelector('.bar')?.textContent ?? '')) resolve(Date.now());
        }).observe(main, { childList: true, characterData: true, subtree: true });
    });
}"""


async def transition_ms(page: "Page", client: Client) -> float:
    """Milliseconds from the command that cancels a job to its state on the open page, the 95th percentile: the command
    itself, its commit and the publish are in it."""
    caller = Caller(client)
    project = await caller.call("project.create", {"name": "watched"})
    times = []
    for _ in range(_TRANSITIONS):
        new = {"project_id": project["project_id"], "title": "watched", "prompt": "Say it"}
        job_id = (await caller.call("job.create", new))["job_id"]
        await page.goto(page.url.partition("#")[0] + f"#/job/{job_id}")
        await page.get_by_role("heading", name="watched", level=1).wait_for()
        await page.evaluate(_NOTE)
        sent = time.time() * 1_000
        await caller.call("job.cancel", {"job_id": job_id})
        times.append(float(await page.evaluate("window.changed")) - sent)
    return percentile(sorted(times), 95)


async def replay_share(page: "Page", client: Client, letters: int) -> float:
    """Percent of the time in which the page's main thread is at work while a replay of *letters* is followed, from the
    opening of the run's page to the run's end."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    selection = {"states": ["open"], "all": True, "limit": letters}
    run_id = (await _operate(client, "replay-failed", selection))["run_id"]
    started, busy = time.perf_counter(), await _busy_s(session)
    await page.goto(page.url.partition("#")[0] + f"#/run/{run_id}")
    # The daemon is asked, not the page: a page that is looked into is at work for that.
    while (await _operate(client, "replay-status", {"run_id": run_id, "limit": 1}))["status"] == "running":
        if time.perf_counter() - started > _TIMEOUT_S:
            raise BenchError(f"the replay of {letters:,} letters has not ended within {_TIMEOUT_S:g} s")
        await asyncio.sleep(0.25)
    share = (await _busy_s(session) - busy) / (time.perf_counter() - started)
    await page.get_by_text(f"sent {letters:,} of {letters:,}").wait_for()
    return share * 100


async def _busy_s(session: "CDPSession") -> float:
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


async def _operate(client: Client, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
    answer = await client.request(f"hg.ops.{operation}", envelope(operation, payload), timeout=_TIMEOUT_S)
    told: dict[str, Any] = orjson.loads(answer.data)["payload"]
    if "error" in told:
        raise BenchError(f"{operation} was refused: {told['error']}")
    result: dict[str, Any] = told["result"]
    return result
