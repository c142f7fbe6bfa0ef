"""Assets by real HTTP clients against the running daemon: what goes in, what comes out, and what is left of neither."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import nats
import pytest
import pytest_asyncio
from nats.js.api import ObjectInfo
from nats.js.errors import NotFoundError

from tests.end_to_end.conftest import SETTINGS, Json, Pipeline, until
from tests.end_to_end.test_jobs_end_to_end import ask, new_job, signed_report, view
from tests.support import files
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.kills]

BUCKET = "HG_ASSETS"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all tests here, none of which harms it."""
    folder = tmp_path_factory.mktemp("assets")
    scanner = folder / "scan.sh"
    scanner.write_text(
        '#!/bin/sh\nif grep -q INFECTED "$1"; then exit 1; fi\nif grep -q CRASHES "$1"; then kill -9 $$; fi\nexit 0\n'
    )
    scanner.chmod(0o755)
    own = f'[limits]\nuploads_per_minute = 100000\n[assets]\nscan_command = ["{scanner}"]\n'
    with running_daemon(folder / "home", f"{SETTINGS}\n{own}") as process:
        yield process


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as opened:
        yield opened


async def begin(pipeline: Pipeline, body: bytes, media_type: str = "image/png", **more: Any) -> Json:
    announced = {"filename": "a.png", "media_type": media_type, "size": len(body), "sha256": files.sha256(body), **more}
    made = await ask(pipeline, "asset.begin-upload", announced)
    assert made["status"] == 201, made
    result: Json = made["result"]
    return result


async def confirm(pipeline: Pipeline, upload: Json) -> Json:
    return await ask(pipeline, "asset.confirm-upload", {"upload_id": upload["upload_id"]})


async def uploaded(pipeline: Pipeline, client: httpx.AsyncClient, body: bytes, **more: Any) -> Json:
    """An asset that is ready."""
    upload = await begin(pipeline, body, **more)
    sent = await client.put(upload["upload_url"], content=body)
    assert sent.status_code == 200, sent.text
    confirmed = await confirm(pipeline, upload)
    assert confirmed["status"] == 200, confirmed
    result: Json = confirmed["result"]
    return result


async def torn(pipeline: Pipeline) -> set[str]:
    """Chunks in the bucket that belong to no object."""
    found = await pipeline.js.stream_info(f"OBJ_{BUCKET}", subjects_filter=f"$O.{BUCKET}.C.>")
    chunks = {subject.rpartition(".")[2] for subject in found.state.subjects or {}}
    return chunks - {entry.nuid for entry in await entries(pipeline)}


async def entries(pipeline: Pipeline) -> list[ObjectInfo]:
    store = await pipeline.js.object_store(BUCKET)
    try:
        return list(await store.list())
    except NotFoundError:
        return []


async def is_stored(pipeline: Pipeline, name: str) -> bool:
    return name in {entry.name for entry in await entries(pipeline)}


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
    for tags in (got.headers["etag"], f"W/{got.headers['etag']}", f'"another", {got.headers["etag"]}', "*"):
        cached = await client.get(asset["url"], headers={"If-None-Match": tags})
        assert (cached.status_code, cached.content) == (304, b"")
    head = await client.head(asset["url"], headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(body)))


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
    for method in ("PUT", "POST", "DELETE"):
        refused = await client.request(method, asset["url"], content=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
        assert refused.headers["allow"] == "GET, HEAD"
    assert (await client.get(f"{url.scheme}://{url.netloc}/assets/../livez?{url.query}")).status_code in (200, 403, 404)
    log = (pipeline.daemon.home / "daemon.log") if (pipeline.daemon.home / "daemon.log").exists() else None
    assert log is None or "signature=" not in log.read_text()


async def test_bytes_of_an_asset_are_not_sent_twice(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    body = files.png()
    upload = await begin(pipeline, body)
    for _ in range(2):
        assert (await client.put(upload["upload_url"], content=body)).status_code == 200
    assert (await confirm(pipeline, upload))["status"] == 200
    late = await client.put(upload["upload_url"], content=body)
    assert (late.status_code, late.json()["code"]) == (409, "INVALID_STATE")
    assert "confirmed already" in late.json()["message"]


async def test_what_is_not_as_announced_leaves_nothing(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    body = files.png()
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
        assert not await is_stored(pipeline, upload["object"])
    assert await torn(pipeline) == set()


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
    uploads = [await begin(pipeline, body, "video/mp4") for _ in range(5)]

    for upload in uploads:
        url = urlsplit(upload["upload_url"])
        with closing(socket.create_connection((str(url.hostname), int(url.port or 80)))) as connection:
            head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:1_500_000])

    async def nothing_left() -> bool:
        return await torn(pipeline) == set()

    await until(nothing_left)
    assert not any([await is_stored(pipeline, upload["object"]) for upload in uploads])


async def test_a_deleted_asset_is_gone_with_its_bytes(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    asset = await uploaded(pipeline, client, files.png())
    place = pipeline.one("SELECT object FROM assets WHERE asset_id = ?", asset["asset_id"])
    await ask(pipeline, "asset.delete", {"asset_id": asset["asset_id"]})

    assert (await client.get(asset["url"])).status_code == 404

    async def swept() -> bool:
        return not await is_stored(pipeline, place) and await torn(pipeline) == set()

    await until(swept)


async def test_many_uploads_at_once_all_arrive(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    bodies = [files.mp4(200_000 + each) for each in range(20)]
    assets = await asyncio.gather(*(uploaded(pipeline, client, body, media_type="video/mp4") for body in bodies))
    got = await asyncio.gather(*(client.get(asset["url"]) for asset in assets))
    assert [answer.content for answer in got] == bodies


async def test_uploads_are_counted_by_the_minute(tmp_path: Path) -> None:
    with running_daemon(tmp_path, SETTINGS) as daemon:
        nc = await nats.connect(daemon.nats_url)
        pipeline = Pipeline(daemon, nc)
        announced = {"filename": "a.png", "media_type": "image/png", "size": 1, "sha256": files.sha256(files.png())}
        # At once: on a slow machine the minute goes on meanwhile.
        answers = await asyncio.gather(*(ask(pipeline, "asset.begin-upload", announced) for _ in range(40)))
        refused = [answer for answer in answers if answer["status"] != 201]
        assert 10 <= len(answers) - len(refused) < 40
        assert {(each["status"], each["error"]["code"]) for each in refused} == {(429, "RATE_LIMITED")}
        assert all(each["error"]["details"][0]["retry_after_ms"] > 0 for each in refused)
        await nc.close()


def memory_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1_024


async def test_an_upload_that_nobody_confirms_goes(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    body = files.png()
    upload = await begin(pipeline, body)
    assert (await client.put(upload["upload_url"], content=body)).status_code == 200
    assert await is_stored(pipeline, upload["object"])
    pipeline.write("UPDATE assets SET expires_at = 0 WHERE object = ?", upload["object"])

    async def swept() -> bool:
        return not await is_stored(pipeline, upload["object"])

    await until(swept)
    late = await confirm(pipeline, upload)
    assert (late["status"], late["error"]["code"]) == (409, "INVALID_STATE")
    assert (await client.put(upload["upload_url"], content=body)).status_code in (403, 409)


async def test_a_thousand_slow_uploads_keep_nobody_out_for_long(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    """Each says that it sends two megabytes, sends a few bytes, and waits. Those over the limit are told to come again;
    commands are answered all the while, and when they are gone there is room again."""
    body = files.mp4(2_000_000)
    upload = await begin(pipeline, body, "video/mp4")
    url = urlsplit(upload["upload_url"])
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    memory = memory_mib(pipeline.daemon.pid)
    slow: list[asyncio.StreamWriter] = []
    try:
        for _ in range(1_000):
            try:
                _, writer = await asyncio.open_connection(str(url.hostname), int(url.port or 80))
                writer.write(head + body[:100])
                slow.append(writer)
            except OSError:
                break
        small = files.png()
        begun = await begin(pipeline, small)
        assert (await ask(pipeline, "asset.get", {"asset_id": begun["asset_id"]}))["status"] == 200
        assert memory_mib(pipeline.daemon.pid) < memory + 64
    finally:
        for writer in slow:
            writer.close()

    async def accepted() -> bool:
        fresh = await begin(pipeline, small)
        try:
            return (await client.put(fresh["upload_url"], content=small)).status_code == 200
        except httpx.TransportError:
            return False

    await until(accepted)


async def test_a_picture_that_cannot_be_read_is_not_drawn_on(pipeline: Pipeline, client: httpx.AsyncClient) -> None:
    """Its type is right and its bytes are what was announced: it is kept, but nothing comes of drawing on it."""
    whole = files.jpg(400, 300)
    job = await drafted(pipeline)
    place = {"instruction_id": job["instruction_id"], "version": 1, "block_id": "b1"}
    anchor_id = (await ask(pipeline, "anchor.create", place))["result"]["anchor_id"]
    box = {"type": "box", "x": 1, "y": 1, "width": 9, "height": 9, "color": "#000000"}
    cases = {
        "cut off": (whole[: len(whole) // 2], "image/jpeg", 415),
        "a bomb": (files.bomb(), "image/png", 413),
        "a film": (files.mp4(), "video/mp4", 415),
    }
    for why, (body, media_type, status) in cases.items():
        asset = await uploaded(pipeline, client, body, media_type=media_type)
        this = {"anchor_id": anchor_id, "asset_id": asset["asset_id"]}
        await ask(pipeline, "anchor.attach", this)
        refused = await ask(pipeline, "anchor.annotate", {**this, "ops": [box]})
        assert refused["status"] == status, (why, refused)
        assert not any(entry.name.startswith("annotations/") for entry in await entries(pipeline))
    sound = await uploaded(pipeline, client, whole, media_type="image/jpeg")
    this = {"anchor_id": anchor_id, "asset_id": sound["asset_id"]}
    await ask(pipeline, "anchor.attach", this)
    outside = await ask(pipeline, "anchor.annotate", {**this, "ops": [box, {**box, "x": 400}]})
    assert [detail["path"] for detail in outside["error"]["details"]] == ["payload.ops.1.x"]


async def drafted(pipeline: Pipeline) -> Json:
    """A job that awaits approval."""
    job_id = await new_job(pipeline)
    await ask(pipeline, "job.run", {"job_id": job_id})
    made = {"instruction": {"blocks": [{"block_id": "b1", "type": "step", "text": "Open it"}]}}
    for sequence, status in enumerate(("TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL"), start=1):
        more: Json = {"artifacts": made} if status == "AWAITING_APPROVAL" else {}
        await pipeline.report("job", job_id, "job.status", signed_report(sequence, status, **more))
    return await view(pipeline, job_id)
