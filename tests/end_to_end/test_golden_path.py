"""The whole way of a job with real files: upload, run, read the draft, approve, render, annotate, export, done."""

import asyncio
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.end_to_end.conftest import Json, Pipeline, until
from tests.end_to_end.test_jobs_end_to_end import ask, example_worker, view
from tests.support.waiting import PATIENCE_S

EXAMPLES = Path(__file__).parents[2] / "examples"
SCENES = ["Open the box.", "Take the cable out.", "Press the <button>."]

pytestmark = [pytest.mark.process, pytest.mark.fresh]


async def ok(pipeline: Pipeline, name: str, payload: Json) -> Json:
    answer = await ask(pipeline, name, payload)
    assert answer["status"] < 300, answer
    result: Json = answer["result"]
    return result


async def becomes(pipeline: Pipeline, job_id: str, status: str) -> Json:
    async def there() -> Json | None:
        found = await view(pipeline, job_id)
        assert found["status"] != "FAILED", found["error"]
        return found if found["status"] == status else None

    return await until(there)


async def task_done(pipeline: Pipeline, task_id: str) -> Json:
    async def there() -> Json | None:
        found = await ok(pipeline, "task.get", {"task_id": task_id})
        assert found["status"] != "FAILED", found["error"]
        return found if found["status"] == "SUCCEEDED" else None

    return await until(there)


async def exported(
    pipeline: Pipeline, client: httpx.AsyncClient, job_id: str, export_format: str
) -> tuple[Json, bytes]:
    export_id = (await ok(pipeline, "export.create", {"job_id": job_id, "format": export_format}))["export_id"]

    async def there() -> Json | None:
        found = await ok(pipeline, "export.get", {"export_id": export_id})
        assert found["status"] != "FAILED", found["error"]
        return found if found["status"] == "SUCCEEDED" else None

    export = await until(there)
    got = await client.get(export["download_url"])
    assert got.status_code == 200
    assert hashlib.sha256(got.content).hexdigest() == export["sha256"]
    return export, got.content


def run_example(pipeline: Pipeline, name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {"NATS_URL": pipeline.daemon.nats_url, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def uploaded(pipeline: Pipeline, film: Path) -> str:
    """A job with its film."""
    project = (await ok(pipeline, "project.create", {"name": "Launch"}))["project_id"]
    job_id = (await ok(pipeline, "job.create", {"project_id": project, "title": "How to start"}))["job_id"]
    await asyncio.to_thread(run_example, pipeline, "film.py", str(film), *SCENES)
    await asyncio.to_thread(run_example, pipeline, "upload.py", str(film), job_id)
    assert (await view(pipeline, job_id))["status"] == "UPLOADED"
    return str(job_id)


async def edited(pipeline: Pipeline, job_id: str) -> Json:
    """The version that is to be approved: the draft, one step of it written anew, and an editor's own words."""
    await ok(pipeline, "job.run", {"job_id": job_id})
    drafted = await becomes(pipeline, job_id, "AWAITING_APPROVAL")
    instruction = {"instruction_id": drafted["instruction_id"]}
    draft = await ok(pipeline, "instruction.get", instruction)
    assert [block["text"] for block in draft["blocks"]] == [f"What scene {each} shows." for each in (1, 2, 3)]

    asked = {**instruction, "base_version": 1, "block_ids": ["step-2"], "prompt": SCENES[1]}
    regenerated = await task_done(pipeline, (await ok(pipeline, "instruction.regenerate", asked))["task_id"])
    blocks = [{**block, "text": text} for block, text in zip(draft["blocks"], SCENES, strict=True)]
    written = {**instruction, "base_version": regenerated["result"]["version"], "blocks": blocks}
    version = (await ok(pipeline, "instruction.put", written))["version"]
    assert version == 3
    return {**instruction, "version": version}


async def illustrated(pipeline: Pipeline, approved: Json, pictures: Json) -> Json:
    """Each step with its picture; a box is drawn on the last, once however often it is asked for."""
    anchors = [
        (await ok(pipeline, "anchor.create", {**approved, "block_id": f"step-{number}"})) for number in (1, 2, 3)
    ]
    links = [
        {"anchor_id": anchor["anchor_id"], "asset_id": picture["asset_id"]}
        for anchor, picture in zip(anchors, pictures["assets"], strict=True)
    ]
    for link in links:
        await ok(pipeline, "anchor.attach", link)
    box = {"type": "box", "x": 40, "y": 120, "width": 560, "height": 120, "color": "#d01818"}
    drawing = {**links[-1], "ops": [box]}
    annotation = await ok(pipeline, "anchor.annotate", drawing)
    assert (await ask(pipeline, "anchor.annotate", drawing))["result"] == annotation
    return annotation


def expect_drawn(drawn: bytes, annotation: Json) -> None:
    assert hashlib.sha256(drawn).hexdigest() == annotation["sha256"]
    with Image.open(io.BytesIO(drawn)) as shown:
        assert (shown.size, shown.convert("RGB").getpixel((40, 120))) == ((640, 360), (0xD0, 0x18, 0x18))


def expect_all_in_archive(archive: bytes, provenance: Json) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = opened.namelist()
        assert names[:3] == ["document.md", "document.html", "provenance.json"]
        assert all(name.startswith("assets/") and ".." not in name for name in names[3:])
        assert json.loads(opened.read("provenance.json")) == provenance
        digests = {hashlib.sha256(opened.read(name)).hexdigest() for name in names[3:]}
    assert digests == {each["sha256"] for each in provenance["assets"]}


async def test_a_job_goes_the_whole_way_with_real_files(pipeline: Pipeline, tmp_path: Path) -> None:
    job_id = await uploaded(pipeline, tmp_path / "film.mov")
    with example_worker(pipeline.daemon):
        approved = await edited(pipeline, job_id)
        await ok(pipeline, "job.approve", {"job_id": job_id, "version": approved["version"]})
        await ok(pipeline, "job.render", {"job_id": job_id})
        await becomes(pipeline, job_id, "READY")
        cut = {"job_id": job_id, "timestamps_ms": [0, 1_000, 2_000]}
        pictures = (await task_done(pipeline, (await ok(pipeline, "screenshot.extract", cut))["task_id"]))["result"]
    annotation = await illustrated(pipeline, approved, pictures)

    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        export, archive = await exported(pipeline, client, job_id, "zip")
        _, page = await exported(pipeline, client, job_id, "html")
        asset = await ok(pipeline, "asset.get", {"asset_id": annotation["asset_id"]})
        drawn = (await client.get(asset["url"])).content
    assert (await view(pipeline, job_id))["status"] == "DONE"

    expect_drawn(drawn, annotation)
    provenance = export["provenance"]
    expect_all_in_archive(archive, provenance)
    assert annotation["sha256"] in {each["sha256"] for each in provenance["assets"]}
    assert provenance["approval"]["version"] == approved["version"]
    assert b"Press the &lt;button&gt;." in page
    assert b"<script" not in page
