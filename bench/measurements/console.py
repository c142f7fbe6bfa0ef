"""What a person waits for in the console, in a real browser, in front of 100,000 dead letters and 10,000 jobs."""

import gzip
import shutil
import sqlite3
import statistics
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from bench.measurements.console_idle import heap_after_an_hour, idle_share
from bench.measurements.console_moving import grow_jobs, replay_share, transition_ms
from bench.measurements.dead_letters import LETTERS, grow
from bench.measurements.latency import percentile
from bench.setting.daemon_process import HEADGATE, Home, daemon
from bench.setting.server import connected
from bench.setting.streams import BenchError
from daemon.http.console import STATIC

if TYPE_CHECKING:
    from playwright.async_api import Page

_ROUNDS: Final = 8
_SELDOM: Final = "a-rare-one"
_LARGE_BODY: Final = 256 * 1024
_TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class ConsoleFigures:
    """Milliseconds, 95th percentiles where there are several; sizes in KiB, compressed."""

    letters: int
    first_figures_ms: float
    groups_ms: float
    list_ms: float
    rare_ms: float
    jobs_ms: float
    rows_in_document: int
    frame_ms: float
    longest_task_ms: float
    editor_opens_ms: float
    key_ms: float
    scripts_kib: float
    editor_kib: float
    heap_mib: float
    idle_share_percent: float
    transition_ms: float
    replay_share_percent: float


async def measure_console(work_dir: Path, letters: int = LETTERS) -> ConsoleFigures:
    """A daemon with *letters* of 240 groups, and a browser that looks at them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or not (STATIC / "index.html").is_file():
        raise BenchError("the console needs chromium on the PATH, and its page: make console")
    # The other measurements do without a browser's driver.
    from playwright.async_api import async_playwright

    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure(commands_per_second=1_000_000)
        async with daemon(home):
            pass
        grow(home.database, letters)
        large = _add_large(home.database)
        _make_rare(home.database, letters)
        grow_jobs(home.database)
        async with daemon(home) as running, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium,
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                    "--enable-precise-memory-info",
                ],
            )
            page = await browser.new_page()
            page.set_default_timeout(_TIMEOUT_MS)
            figures = await _measure(page, _link(home), letters, large)
            await page.goto(page.url.partition("#")[0] + "#/now")
            figures = replace(figures, heap_mib=await heap_after_an_hour(page, running.nats_url))
            await page.close()
            share = await idle_share(running.process, browser, lambda: _link(home))
            figures = replace(figures, idle_share_percent=share)
            page = await browser.new_page()
            page.set_default_timeout(_TIMEOUT_MS)
            await page.goto(_link(home))
            await page.get_by_text("healthy").first.wait_for()
            async with connected(running.nats_url) as client:
                figures = replace(figures, transition_ms=await transition_ms(page, client))
                _open_all(home.database)
                figures = replace(figures, replay_share_percent=await replay_share(page, client, letters))
            await browser.close()
    return figures


def _link(home: Home) -> str:
    command = [str(HEADGATE), "console", "--no-open", "--config", str(home.config)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def _add_large(database: Path) -> str:
    """Give the newest letter a body of 256 KiB; its id."""
    body = b'{"payload": {"text": "' + b"words and words " * (_LARGE_BODY // 16) + b'"}, "lines": ['
    body = body[: _LARGE_BODY // 2] + b'"}, "lines": [' + b"\n1," * (_LARGE_BODY // 6) + b"1]}"
    with closing(sqlite3.connect(database)) as connection, connection:
        newest = "SELECT dead_letter_id FROM dead_letters WHERE state = 'open' ORDER BY received_at DESC LIMIT 1"
        (found,) = connection.execute(newest).fetchone()
        connection.execute("UPDATE dead_letters SET body = ? WHERE dead_letter_id = ?", (body, found))
    return str(found)


def _make_rare(database: Path, letters: int) -> None:
    """Give five letters, all over the time, a producer of their own."""
    with closing(sqlite3.connect(database)) as connection, connection:
        rare = "UPDATE dead_letters SET producer = ? WHERE sequence % ? = 7"
        connection.execute(rare, (_SELDOM, letters // 5))


def _open_all(database: Path) -> None:
    """What was resolved or discarded is open too: all letters go."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute("UPDATE dead_letters SET state = 'open' WHERE state != 'open'")


async def _measure(page: "Page", link: str, letters: int, large: str) -> ConsoleFigures:
    started = time.perf_counter()
    await page.goto(link)
    await page.get_by_text("healthy").first.wait_for()
    first = (time.perf_counter() - started) * 1_000
    base = link.partition("#")[0]
    groups = [await _shown(page, f"{base}#/dead?state=any&n={number}", "Groups") for number in range(_ROUNDS)]
    lists = [
        await _shown(page, f"{base}#/dead?state=any&view=list&n={number}", "Dead letters") for number in range(_ROUNDS)
    ]
    rows = await page.get_by_role("grid", name="Dead letters").get_by_role("row").count()
    frame, longest = await _scroll(page)
    opens = await _open_editor(page, f"{base}#/dead/{large}/edit")
    key = await _type(page)
    seldom = f"{base}#/dead?state=any&view=list&producer={_SELDOM}"
    rare = [await _shown(page, f"{seldom}&n={number}", "Dead letters") for number in range(_ROUNDS)]
    jobs = [await _shown(page, f"{base}#/jobs?n={number}", "Jobs") for number in range(_ROUNDS)]
    return ConsoleFigures(
        letters=letters,
        first_figures_ms=first,
        groups_ms=percentile(sorted(groups), 95),
        list_ms=percentile(sorted(lists), 95),
        rare_ms=percentile(sorted(rare), 95),
        jobs_ms=percentile(sorted(jobs), 95),
        rows_in_document=rows,
        frame_ms=frame,
        longest_task_ms=longest,
        editor_opens_ms=opens,
        key_ms=key,
        scripts_kib=_compressed("app-*.js"),
        editor_kib=_compressed("codemirror-*.js"),
        heap_mib=0.0,
        idle_share_percent=0.0,
        transition_ms=0.0,
        replay_share_percent=0.0,
    )


async def _shown(page: "Page", url: str, grid: str) -> float:
    """Milliseconds from a new address to the first row on the screen, measured in the page."""
    await page.goto(url.partition("#")[0] + "#/story")
    await page.get_by_role("heading", name="Story", level=1).wait_for()
    script = """async ([hash, name]) => {
        const started = performance.now();
        location.hash = hash;
        const row = () => document.querySelector(`[role=grid][aria-label="${name}"] [role=row] [role=gridcell]`);
        while (!row()) await new Promise(requestAnimationFrame);
        return performance.now() - started;
    }"""
    return float(await page.evaluate(script, ["#" + url.partition("#")[2], grid]))


async def _scroll(page: "Page") -> tuple[float, float]:
    """The 95th percentile of the time between frames while the list is scrolled, and the longest task meanwhile."""
    found = await page.evaluate(
        """async () => {
            const list = document.querySelector('[role=grid].windowed');
            let longest = 0;
            new PerformanceObserver((all) => {
                for (const task of all.getEntries()) longest = Math.max(longest, task.duration);
            }).observe({ type: 'longtask' });
            const frames = [];
            let before = performance.now();
            for (let step = 0; step < 240; step++) {
                list.scrollTop += 90;
                await new Promise(requestAnimationFrame);
                const now = performance.now();
                frames.push(now - before);
                before = now;
            }
            frames.sort((a, b) => a - b);
            return [frames[Math.floor(frames.length * 0.95)], longest];
        }"""
    )
    return float(found[0]), float(found[1])


async def _open_editor(page: "Page", url: str) -> float:
    started = time.perf_counter()
    await page.goto(url)
    await page.get_by_role("textbox", name="Body").wait_for()
    return (time.perf_counter() - started) * 1_000


async def _type(page: "Page") -> float:
    """Milliseconds for a key, the middle of some."""
    await page.get_by_role("textbox", name="Body").click()
    times = []
    for _ in range(20):
        started = time.perf_counter()
        await page.keyboard.press("x")
        await page.evaluate("new Promise(requestAnimationFrame)")
        times.append((time.perf_counter() - started) * 1_000)
    return statistics.median(times)


def _compressed(pattern: str) -> float:
    (file,) = STATIC.glob(pattern)
    return len(gzip.compress(file.read_bytes())) / 1_024
