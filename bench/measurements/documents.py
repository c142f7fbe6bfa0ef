"""Files in and out beside a plain static server, memory while many come at once, anchors, exports."""

import asyncio
import hashlib
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from bench.measurements.commands import Caller
from bench.measurements.intake import Say
from bench.setting.daemon_process import Daemon, Home, daemon
from bench.setting.processes import Child, child
from bench.setting.server import connected
from bench.setting.streams import BenchError
from contracts.payloads.callbacks import Block, BlockType
from domain.documents.anchors import Anchor, Characters, IndexedVersion, resolve

SIZE: Final = 50 * 2**20
UPLOADS: Final = 20
ANCHORS: Final = 1_000
VERSIONS: Final = 100
BLOCKS: Final = 200
PICTURES: Final = 20
_PIECE: Final = 256 * 1024
_CONTENDER: Final = Path(__file__).parents[1] / "contenders" / "static_server.py"
_TIMEOUT_S: Final = 60.0
_HEAD: Final = bytes.fromhex("0000001466747970717420200000020071742020")
"""The first box of a QuickTime film."""


@dataclass(frozen=True, slots=True)
class DocumentFigures:
    """Seconds for 50 MiB (the middle of the rounds), MiB above idle, milliseconds."""

    upload_s: float
    download_s: float
    plain_upload_s: float
    plain_download_s: float
    memory_growth_mib: float
    anchors_ms: float
    export_ms: float


async def measure_documents(rounds: int, work_dir: Path, say: Say) -> DocumentFigures:
    """A daemon on its embedded server, as shipped, and a static server beside it on the same disk."""
    body = _HEAD + os.urandom(SIZE - len(_HEAD))
    with TemporaryDirectory(dir=work_dir) as folder:
        home, plain = Home(Path(folder) / "headgate"), Path(folder) / "plain"
        plain.mkdir(parents=True)
        home.configure(commands_per_second=1_000_000)
        home.config.write_text(home.config.read_text() + "uploads_per_minute = 100000\n")
        async with (
            daemon(home) as running,
            _static_server(plain, Path(folder)) as static_url,
            connected(running.nats_url) as client,
            httpx.AsyncClient(timeout=_TIMEOUT_S) as http,
        ):
            caller = Caller(client)
            say(f"50 MiB up and down, {rounds} rounds each")
            ours = [await _round_trip(caller, http, body) for _ in range(rounds)]
            plainly = [await _plain_round_trip(http, f"{static_url}/file", body) for _ in range(rounds)]
            say(f"{UPLOADS} uploads at once")
            growth = await _memory_growth(running, caller, http, body)
            say("an export")
            export_ms = await _export_ms(caller, http)
    say(f"{ANCHORS:,} anchors over {VERSIONS} versions")
    return DocumentFigures(
        upload_s=statistics.median(up for up, _ in ours),
        download_s=statistics.median(down for _, down in ours),
        plain_upload_s=statistics.median(up for up, _ in plainly),
        plain_download_s=statistics.median(down for _, down in plainly),
        memory_growth_mib=growth,
        anchors_ms=_anchors_ms(),
        export_ms=export_ms,
    )


@asynccontextmanager
async def _static_server(folder: Path, logs: Path) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command: list[str | Path] = [sys.executable, _CONTENDER, folder, str(port)]
    async with child(command, logs / "static.log") as running:
        await _until_listening(port, running)
        yield f"http://127.0.0.1:{port}"


async def _until_listening(port: int, running: Child) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and not running.ended():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise BenchError(f"the static server did not start: {running.last_words()}")


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


async def _begin(caller: Caller, body: bytes) -> Mapping[str, Any]:
    announced = {"filename": "film.mov", "media_type": "video/quicktime", "size": len(body)}
    return await caller.call("asset.begin-upload", announced | {"sha256": hashlib.sha256(body).hexdigest()})


async def _put(http: httpx.AsyncClient, url: str, body: bytes) -> float:
    started = time.perf_counter()
    answer = await http.put(url, content=_pieces(body), headers={"content-length": str(len(body))})
    if answer.status_code != 200:
        raise BenchError(f"the upload was answered {answer.status_code}: {answer.text}")
    return time.perf_counter() - started


async def _get(http: httpx.AsyncClient, url: str, size: int) -> float:
    started, got = time.perf_counter(), 0
    async with http.stream("GET", url) as answer:
        async for piece in answer.aiter_raw():
            got += len(piece)
    if got != size:
        raise BenchError(f"{got} bytes came instead of {size}")
    return time.perf_counter() - started


async def _uploaded(caller: Caller, http: httpx.AsyncClient, body: bytes) -> tuple[Mapping[str, Any], float]:
    upload = await _begin(caller, body)
    took_s = await _put(http, upload["upload_url"], body)
    return await caller.call("asset.confirm-upload", {"upload_id": upload["upload_id"]}), took_s


async def _round_trip(caller: Caller, http: httpx.AsyncClient, body: bytes) -> tuple[float, float]:
    asset, up_s = await _uploaded(caller, http, body)
    return up_s, await _get(http, asset["url"], len(body))


async def _plain_round_trip(http: httpx.AsyncClient, url: str, body: bytes) -> tuple[float, float]:
    return await _put(http, url, body), await _get(http, url, len(body))


async def _memory_growth(running: Daemon, caller: Caller, http: httpx.AsyncClient, body: bytes) -> float:
    """The highest of many samples above what the daemon has while nothing comes."""
    part = body[: SIZE // 5]
    idle, highest, over = running.process.memory_mib()[0], 0.0, asyncio.Event()

    async def sample() -> None:
        nonlocal highest
        while not over.is_set():
            highest = max(highest, running.process.memory_mib()[0])
            await asyncio.sleep(0.02)

    sampling = asyncio.create_task(sample())
    await asyncio.gather(*(_uploaded(caller, http, part) for _ in range(UPLOADS)))
    over.set()
    await sampling
    return max(0.0, highest - idle)


def _anchors_ms() -> float:
    """Every anchor in every version, each of which has some blocks edited, moved and split."""
    versions = [_version(number) for number in range(VERSIONS)]
    first = versions[0]
    anchors = [
        Anchor(f"a{at}", "i", "o", 1, 0, 0, None, Characters(at % 20, at % 20 + 12, first[at % BLOCKS].block_id))
        for at in range(ANCHORS)
    ]
    started = time.perf_counter()
    made_in = IndexedVersion(first)
    for version in map(IndexedVersion, versions):
        for anchor in anchors:
            resolve(anchor, made_in, version)
    return (time.perf_counter() - started) * 1_000


def _version(number: int) -> list[Block]:
    kept = [at for at in range(BLOCKS) if number == 0 or (at + number) % 50]
    blocks = [
        Block(f"b{at}", BlockType.STEP, "Now " * ((number + at) % 3) + f"open valve {at} and wait for lamp {at}.")
        for at in kept
    ]
    turn = number % 7
    return [*blocks[turn:], *blocks[:turn]]


async def _export_ms(caller: Caller, http: httpx.AsyncClient) -> float:
    """From the command to the state SUCCEEDED: 200 blocks, 20 pictures of 100 KiB, as an archive."""
    job = await _ready_job(caller)
    for number in range(PICTURES):
        picture = bytes.fromhex("89504e470d0a1a0a") + os.urandom(100 * 1_024)
        announced = {"filename": "p.png", "media_type": "image/png", "size": len(picture)}
        announced["sha256"] = hashlib.sha256(picture).hexdigest()
        upload = await caller.call("asset.begin-upload", announced)
        await _put(http, upload["upload_url"], picture)
        asset = await caller.call("asset.confirm-upload", {"upload_id": upload["upload_id"]})
        place = {"instruction_id": job["instruction_id"], "version": 1, "block_id": f"b{number}"}
        anchor = await caller.call("anchor.create", place)
        await caller.call("anchor.attach", {"anchor_id": anchor["anchor_id"], "asset_id": asset["asset_id"]})
    started = time.perf_counter()
    export = await caller.call("export.create", {"job_id": job["job_id"], "format": "zip"})

    async def ended() -> bool:
        found = await caller.call("export.get", {"export_id": export["export_id"]})
        if found["status"] == "FAILED":
            raise BenchError(f"the export failed: {found['error']}")
        return bool(found["status"] == "SUCCEEDED")

    await _until(ended)
    return (time.perf_counter() - started) * 1_000


async def _ready_job(caller: Caller) -> Mapping[str, Any]:
    project = await caller.call("project.create", {"name": "measured"})
    new = {"project_id": project["project_id"], "title": "measured", "prompt": "Say it"}
    this = {"job_id": (await caller.call("job.create", new))["job_id"]}
    await caller.call("job.run", this)
    blocks = [{"block_id": f"b{at}", "type": "step", "text": f"Step {at}. " + "Wait. " * 40} for at in range(BLOCKS)]
    await caller.report(this["job_id"], 1, 1, status="TRANSCRIBING")
    await caller.report(this["job_id"], 1, 2, status="DRAFTING")
    made = {"instruction": {"blocks": blocks}}
    await caller.report(this["job_id"], 1, 3, status="AWAITING_APPROVAL", artifacts=made)
    await _until(lambda: _is(caller, this, "AWAITING_APPROVAL"))
    await caller.call("job.approve", this)
    await caller.call("job.render", this)
    await caller.report(this["job_id"], 2, 1, status="READY")
    await _until(lambda: _is(caller, this, "READY"))
    return await caller.call("job.get", this)


async def _is(caller: Caller, this: Mapping[str, Any], status: str) -> bool:
    return bool((await caller.call("job.get", dict(this)))["status"] == status)


async def _until(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while not await fact():  # noqa: ASYNC110 - the fact is in another process
            await asyncio.sleep(0.005)
