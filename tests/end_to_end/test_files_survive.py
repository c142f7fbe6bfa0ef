"""Files, drawings and exports when the daemon is killed in the middle, or there is no room for them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.end_to_end.conftest import SETTINGS, Json, Pipeline, until
from tests.end_to_end.test_assets_end_to_end import BUCKET, begin, drafted, entries, is_stored, torn, uploaded
from tests.end_to_end.test_jobs_end_to_end import ask, signed_report, view
from tests.support import files
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.kills]


@pytest.fixture
def settings() -> str:
    return f"{SETTINGS}\n[limits]\nuploads_per_minute = 1000\n"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as opened:
        yield opened


async def ready(pipeline: Pipeline) -> Json:
    """A job that may be exported."""
    job_id = str((await drafted(pipeline))["job_id"])
    await ask(pipeline, "job.approve", {"job_id": job_id})
    await ask(pipeline, "job.render", {"job_id": job_id})
    await pipeline.report("job", job_id, "job.status", signed_report(1, "READY", attempt=2))
    found = await view(pipeline, job_id)
    assert found["status"] == "READY"
    return found


async def anchored(pipeline: Pipeline, job: Json, asset_id: str) -> str:
    place = {"instruction_id": job["instruction_id"], "version": 1, "block_id": "b1"}
    anchor_id = str((await ask(pipeline, "anchor.create", place))["result"]["anchor_id"])
    await ask(pipeline, "anchor.attach", {"anchor_id": anchor_id, "asset_id": asset_id})
    return anchor_id


async def test_a_killed_daemon_serves_what_was_confirmed(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    body = files.mp4(300_000)
    asset = await uploaded(pipeline, client, body, media_type="video/mp4")

    await pipeline.kill_and_restart()

    again = (await ask(pipeline, "asset.get", {"asset_id": asset["asset_id"]}))["result"]
    assert (await client.get(again["url"])).content == body


async def test_exports_are_taken_up_again_after_a_kill(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    """Many are asked for, the daemon is killed while it works on them, and each comes to its end once."""
    job = await ready(pipeline)
    asset = await uploaded(pipeline, client, files.png(900, 700))
    await anchored(pipeline, job, asset["asset_id"])
    wanted = [{"job_id": job["job_id"], "format": "zip", "options": {"title": f"No. {at}"}} for at in range(6)]
    made = await asyncio.gather(*(ask(pipeline, "export.create", each) for each in wanted))
    ids = [each["result"]["export_id"] for each in made]

    async def begun() -> bool:
        return bool(pipeline.one("SELECT count(*) FROM exports WHERE status != 'REQUESTED'"))

    await until(begun)
    await pipeline.kill_and_restart()
    # The lease of the killed daemon would be waited out: two minutes.
    pipeline.write("UPDATE leases SET expires_at = 0 WHERE name LIKE 'export.%'")

    for export_id in ids:
        await pipeline.becomes("SUCCEEDED", "SELECT status FROM exports WHERE export_id = ?", export_id)
        export = (await ask(pipeline, "export.get", {"export_id": export_id}))["result"]
        got = await client.get(export["download_url"])
        assert hashlib.sha256(got.content).hexdigest() == export["sha256"]
    assert (await view(pipeline, job["job_id"]))["status"] == "DONE"


async def test_a_drawing_that_was_cut_short_by_a_kill_leaves_nothing(
    pipeline: Pipeline, client: httpx.AsyncClient
) -> None:
    job = await ready(pipeline)
    asset = await uploaded(pipeline, client, files.png(3_000, 2_000))
    anchor_id = await anchored(pipeline, job, asset["asset_id"])
    ops = [{"type": "blur", "x": 0, "y": 0, "width": 3_000, "height": 2_000, "radius": 200}] * 3
    this = {"anchor_id": anchor_id, "asset_id": asset["asset_id"], "ops": ops}
    drawing = asyncio.create_task(ask(pipeline, "anchor.annotate", this))

    async def announced() -> bool:
        return bool(pipeline.one("SELECT count(*) FROM assets WHERE origin = 'annotation'"))

    await until(announced)
    await pipeline.kill_and_restart()
    drawing.cancel()
    # Its time would be over in two minutes. Where the drawing had been kept just before the kill, it stays.
    pipeline.write("UPDATE assets SET expires_at = 0 WHERE origin = 'annotation' AND state = 'PENDING'")

    async def nothing_left() -> bool:
        kept = pipeline.one("SELECT count(*) FROM annotations")
        states = dict(pipeline.rows("SELECT state, count(*) FROM assets WHERE origin = 'annotation' GROUP BY state"))
        stored = [entry for entry in await entries(pipeline) if entry.name.startswith("annotations/")]
        return bool(kept) or ("PENDING" not in states and not stored)

    await until(nothing_left)


async def test_a_store_without_room_says_so_and_keeps_nothing(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    stream = (await pipeline.js.stream_info(f"OBJ_{BUCKET}")).config
    stream.max_bytes = 400_000
    await pipeline.js.update_stream(stream)

    body = files.mp4(2_000_000)
    upload = await begin(pipeline, body, "video/mp4")
    refused = await client.put(upload["upload_url"], content=body)
    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")

    async def nothing_left() -> bool:
        return await torn(pipeline) == set() and not await is_stored(pipeline, upload["object"])

    await until(nothing_left)
    stream.max_bytes = -1
    await pipeline.js.update_stream(stream)
    assert (await client.put(upload["upload_url"], content=body)).status_code == 200


async def test_a_slow_upload_does_not_keep_the_daemon_from_stopping(pipeline: Pipeline) -> None:
    body = files.mp4(6_000_000)
    upload = await begin(pipeline, body, "video/mp4")
    url = urlsplit(upload["upload_url"])
    _, writer = await asyncio.open_connection(str(url.hostname), int(url.port or 80))
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:600_000])
    await writer.drain()

    async def begun() -> bool:
        return bool(await torn(pipeline))

    await until(begun)
    more = asyncio.create_task(trickle(writer, body[600_000:]))
    assert await asyncio.to_thread(pipeline.daemon.terminate) == 0
    assert not more.done() or more.exception() is not None
    more.cancel()
    await asyncio.gather(more, return_exceptions=True)
    writer.close()


async def trickle(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Faster than what is cut off for its silence, and for longer than a stop is waited for."""
    for start in range(0, len(body), 10_000):
        writer.write(body[start : start + 10_000])
        await writer.drain()
        await asyncio.sleep(0.5)
