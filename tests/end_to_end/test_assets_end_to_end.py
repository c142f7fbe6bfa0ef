"""Assets by real HTTP clients against the running daemon: what goes in, what comes out, and what is left of neither."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import nats
import pytest
import pytest_asyncio
from nats.js.errors import NotFoundError

from tests.end_to_end.conftest import SETTINGS, Json, Pipeline, until
from tests.end_to_end.test_jobs_end_to_end import ask
from tests.support import files

pytestmark = [pytest.mark.process, pytest.mark.kills]

BUCKET = "HG_ASSETS"


@pytest.fixture
def settings(tmp_path: Path) -> str:
    scanner = tmp_path / "scan.sh"
    scanner.write_text(
        '#!/bin/sh\nif grep -q INFECTED "$1"; then exit 1; fi\nif grep -q CRASHES "$1"; then kill -9 $$; fi\nexit 0\n'
    )
    scanner.chmod(0o755)
    return f'{SETTINGS}\n[limits]\nuploads_per_minute = 1000\n[assets]\nscan_command = ["{scanner}"]\n'


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as opened:
        yield opened


async def begin(pipeline: Pipeline, body: bytes, media_type: str = "image/png", **more: Any) -> Json:
    announced = {"filename": "a.png", "media_type": media_type, "size": len(body), "sha256": files.sha256(body), **more}
    made = await ask(pipeline, "asset.begin-upload", announced)
    assert made["status"] == 201, made
    result: Json = made["result"]
    return result


async def confirm(pipeline: Pipeline, upload: Json) -> Json:
    return await ask(pipeline, "asset.confirm-upload", {"upload_id": upload["upload_id"]}, timeout_s=30.0)


async def uploaded(pipeline: Pipeline, client: httpx.AsyncClient, body: bytes, **more: Any) -> Json:
    """An asset that is ready."""
    upload = await begin(pipeline, body, **more)
    sent = await client.put(upload["upload_url"], content=body)
    assert sent.status_code == 200, sent.text
    confirmed = await confirm(pipeline, upload)
    assert confirmed["status"] == 200, confirmed
    result: Json = confirmed["result"]
    return result


async def chunks_left(pipeline: Pipeline) -> int:
    """How many messages lie in the bucket: entries and chunks."""
    return int((await pipeline.js.stream_info(f"OBJ_{BUCKET}")).state.messages)


async def test_what_went_in_comes_out_with_its_own_type(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    body = files.jpg()
    asset = await uploaded(pipeline, client, body, filename="../../Über uns\u202e.png")
    assert (asset["media_type"], asset["filename"], asset["width"]) == ("image/jpeg", "Über uns_.png", 64)

    got = await client.get(asset["url"])

    assert (got.status_code, got.content) == (200, body)
    assert got.headers["content-type"] == "image/jpeg"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert (
        got.headers["content-disposition"]
        == "inline; filename=\"Uber uns_.png\"; filename*=UTF-8''%C3%9Cber%20uns_.png"
    )
    assert (await client.head(asset["url"])).headers["content-length"] == str(len(body))
    cached = await client.get(asset["url"], headers={"If-None-Match": got.headers["etag"]})
    assert (cached.status_code, cached.content) == (304, b"")


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=0-999999999", 206, slice(0, None)),
        ("bytes=999999-", 416, slice(0, 0)),
        ("bytes=-0", 416, slice(0, 0)),
        ("bytes=9-1", 200, slice(0, None)),
        ("lines=1-2", 200, slice(0, None)),
    ],
)
async def test_parts_are_what_was_asked_for(
    pipeline: Pipeline, client: httpx.AsyncClient, wanted: str, status: int, part: slice
) -> None:
    body = files.mp4()
    asset = await uploaded(pipeline, client, body, media_type="video/mp4", filename="a.mp4")

    got = await client.get(asset["url"], headers={"Range": wanted})

    assert (got.status_code, got.content) == (status, body[part])
    if status == 416:
        assert got.headers["content-range"] == f"bytes */{len(body)}"
    stale = await client.get(asset["url"], headers={"Range": wanted, "If-Range": '"another"'})
    assert (stale.status_code, stale.content) == (200, body)


async def test_a_url_is_good_for_what_it_was_signed_for_alone(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    body = files.png()
    asset, other = await uploaded(pipeline, client, body), await uploaded(pipeline, client, body)
    url = urlsplit(asset["url"])
    plain = f"{url.scheme}://{url.netloc}{url.path}"
    expires = parse_qs(url.query)["expires"][0]

    assert (await client.get(plain)).status_code == 403
    assert (await client.get(f"{plain}?expires={int(expires) + 9}&signature=x")).status_code == 403
    assert (await client.get(f"{plain}?{url.query.replace(expires, str(int(expires) + 9))}")).status_code == 403
    moved = other["url"].split("?")[0] + "?" + url.query
    assert (await client.get(moved)).status_code == 403
    assert (await client.put(asset["url"], content=body)).status_code == 400
    assert (await client.get(f"{url.scheme}://{url.netloc}/assets/../livez?{url.query}")).status_code in (200, 403, 404)
    log = (pipeline.daemon.home / "daemon.log") if (pipeline.daemon.home / "daemon.log").exists() else None
    assert log is None or "signature=" not in log.read_text()


async def test_what_is_not_as_announced_leaves_nothing(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    body = files.png()
    before = await chunks_left(pipeline)
    refused: dict[str, tuple[bytes, int]] = {
        "too much": (body + b"x", 413),
        "too little": (body[:-1], 400),
        "another file": (body[:-1] + b"x", 409),
        "an executable": (files.EXECUTABLE[: len(body)], 415),
    }
    for why, (sent, status) in refused.items():
        upload = await begin(pipeline, body)

        async def parts(sent: bytes = sent) -> AsyncIterator[bytes]:
            yield sent

        for content in (sent, parts()):
            answer = await client.put(upload["upload_url"], content=content)
            assert answer.status_code == status, (why, answer.text)
        nothing = await confirm(pipeline, upload)
        assert (nothing["status"], nothing["error"]["code"]) == (409, "INVALID_STATE")
    assert await chunks_left(pipeline) == before


async def test_a_renamed_executable_and_absurd_boxes_are_no_pictures(
    pipeline: Pipeline, client: httpx.AsyncClient
) -> None:
    absurd = files.box(b"ftyp", b"isom" + bytes(20), size=0xFFFFFFF0) + bytes(9_000)
    for body in (files.EXECUTABLE, absurd):
        upload = await begin(pipeline, body, "video/mp4")
        sent = await client.put(upload["upload_url"], content=body)
        assert (sent.status_code, sent.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_bytes_may_go_straight_into_the_object_store(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    store = await pipeline.js.object_store(BUCKET)
    body = files.mov(700_000)
    upload = await begin(pipeline, body, "video/mp4", filename="film.mp4")
    await store.put(upload["object"], body)

    confirmed = await confirm(pipeline, upload)
    assert confirmed["result"]["media_type"] == "video/quicktime"
    assert (await client.get(confirmed["result"]["url"])).content == body

    wrong = await begin(pipeline, body, "video/mp4")
    await store.put(wrong["object"], files.EXECUTABLE)
    assert (await confirm(pipeline, wrong))["error"]["code"] == "UPLOAD_CONFLICT"
    disguised = await begin(pipeline, files.EXECUTABLE, "video/mp4")
    await store.put(disguised["object"], files.EXECUTABLE)
    assert (await confirm(pipeline, disguised))["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    with pytest.raises(NotFoundError):
        await store.get_info(disguised["object"])


async def test_the_scanner_has_the_last_word(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    for word, status, error in ((b"INFECTED", 415, "UNSUPPORTED_MEDIA_TYPE"), (b"CRASHES", 503, "UNAVAILABLE")):
        body = files.png() + word
        upload = await begin(pipeline, body)
        assert (await client.put(upload["upload_url"], content=body)).status_code == 200
        refused = await confirm(pipeline, upload)
        assert (refused["status"], refused["error"]["code"]) == (status, error)


async def test_a_client_that_goes_away_leaves_nothing(pipeline: Pipeline) -> None:
    body = files.mp4(2_000_000)
    before = await chunks_left(pipeline)
    uploads = [await begin(pipeline, body, "video/mp4") for _ in range(5)]

    for upload in uploads:
        url = urlsplit(upload["upload_url"])
        with closing(socket.create_connection((str(url.hostname), int(url.port or 80)))) as connection:
            head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:1_500_000])

    async def nothing_left() -> bool:
        return await chunks_left(pipeline) == before

    await until(nothing_left)


async def test_a_killed_daemon_serves_what_was_confirmed_and_forgets_the_rest(
    pipeline: Pipeline, client: httpx.AsyncClient
) -> None:
    body = files.mp4(300_000)
    asset = await uploaded(pipeline, client, body, media_type="video/mp4")

    await pipeline.kill_and_restart()

    view = (await ask(pipeline, "asset.get", {"asset_id": asset["asset_id"]}))["result"]
    assert (await client.get(view["url"])).content == body


async def test_a_deleted_asset_is_gone_with_its_bytes(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    before = await chunks_left(pipeline)
    asset = await uploaded(pipeline, client, files.png())
    await ask(pipeline, "asset.delete", {"asset_id": asset["asset_id"]})

    assert (await client.get(asset["url"])).status_code == 404

    async def swept() -> bool:
        return await chunks_left(pipeline) == before

    await until(swept, within_s=40)


async def test_many_uploads_at_once_all_arrive(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    bodies = [files.mp4(200_000 + each) for each in range(20)]
    assets = await asyncio.gather(*(uploaded(pipeline, client, body, media_type="video/mp4") for body in bodies))
    got = await asyncio.gather(*(client.get(asset["url"]) for asset in assets))
    assert [answer.content for answer in got] == bodies


async def test_uploads_are_counted_by_the_minute(tmp_path: Path) -> None:
    from tests.support.daemons import running_daemon

    with running_daemon(tmp_path, SETTINGS) as daemon:
        nc = await nats.connect(daemon.nats_url)
        pipeline = Pipeline(daemon, nc)
        body = files.png()
        for _ in range(10):
            await begin(pipeline, body)
        announced = {"filename": "a.png", "media_type": "image/png", "size": 1, "sha256": files.sha256(body)}
        refused = await ask(pipeline, "asset.begin-upload", announced)
        assert (refused["status"], refused["error"]["code"]) == (429, "RATE_LIMITED")
        assert json.loads(json.dumps(refused))["error"]["details"][0]["retry_after_ms"] > 0
        await nc.close()
