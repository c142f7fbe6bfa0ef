"""What pages cost that somebody has left open: the daemon and its server while ten listen, and one page's memory
after the pulses of an hour."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nats
import orjson
from nats.aio.msg import Msg

from bench.setting.processes import Child

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CONSOLES: Final = 10
_REST_S: Final = 3.0
_WATCHED_S: Final = 20.0
_PULSES: Final = 1_800
"""An hour's, one every two seconds."""
_RUNS: Final = 600


async def idle_share(process: Child, browser: "Browser", link: Callable[[], str]) -> float:
    """Percent of a core that open pages take from the daemon and its server, by the processor time of both; *link* is
    one to sign in by."""
    alone = await _watched(process)
    pages = [await browser.new_page() for _ in range(CONSOLES)]
    for page in pages:
        await page.goto(link())
        await page.get_by_text("healthy").first.wait_for()
    together = await _watched(process)
    for page in pages:
        await page.close()
    return max(0.0, together - alone) * 100


async def _watched(process: Child) -> float:
    """Cores in use while nothing is asked."""
    await asyncio.sleep(_REST_S)
    before = _cpu_s(process)
    await asyncio.sleep(_WATCHED_S)
    return (_cpu_s(process) - before) / _WATCHED_S


def _cpu_s(process: Child) -> float:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    return process.cpu_s() + sum(Child.cpu_s_of(int(child)) for child in children)


async def heap_after_an_hour(page: "Page", nats_url: str) -> float:
    """MiB of a page that has heard an hour's pulses and runs, quickly one after the other."""
    client = await nats.connect(nats_url)
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    await client.subscribe("hg.pulse.>", cb=heard.put)
    pulse = orjson.loads((await asyncio.wait_for(heard.get(), 30)).data)
    for number in range(_PULSES):
        pulse["payload"]["dead_letters_open"] += 1
        await client.publish(f"hg.pulse.{pulse['payload']['daemon_id']}", orjson.dumps(pulse))
        if number % (_PULSES // _RUNS) == 0:
            run = {"run_id": f"run-{number}", "operation": "replay-failed", "status": "succeeded", "version": 1}
            await client.publish(f"$KV.HG_STATUS.run.run-{number}", orjson.dumps(run))
        await asyncio.sleep(0.005)
    await client.close()
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    return float(await page.evaluate("performance.memory.usedJSHeapSize")) / 2**20
