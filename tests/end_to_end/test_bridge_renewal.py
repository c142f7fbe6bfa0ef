"""An input whose signed URL has ended is renewed by the bridge through the daemon's own assets: a real daemon, a real
bridge, real bytes; only the provider is a server of ours."""

import asyncio
from pathlib import Path

import httpx
import pytest

from daemon.bridge.process import Tuning, bridge
from daemon.settings.loading import load_settings
from tests.adapters.providers.replicate_server import PROCESSING, ReplicateServer, failed, succeeded
from tests.daemon.bridge.bridge_harness import settings_text
from tests.end_to_end.conftest import SECRET, SETTINGS, Pipeline, until
from tests.end_to_end.test_assets_end_to_end import uploaded
from tests.end_to_end.test_jobs_end_to_end import ask, view
from tests.support import files
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

TUNING = Tuning(ack_wait_s=5.0, slots=4, heartbeat_s=30.0, first_wait_s=0.02, read_timeout_s=5.0, check_s=5.0)
MODEL = 'model = "acme/writer"\ninputs = { video = "{video_uri}" }\n'


@pytest.fixture
def settings() -> str:
    """URLs end after four seconds, and no clock is given any leeway."""
    return f"{SETTINGS}\n[auth]\nleeway_s = 0\n[assets]\nurl_ttl_s = 4\n"


async def test_a_url_that_has_ended_is_signed_anew(pipeline: Pipeline, tmp_path: Path) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client, ReplicateServer() as replicate:
        asset = await uploaded(pipeline, client, files.mov(), media_type="video/quicktime", filename="film.mov")
        project = (await ask(pipeline, "project.create", {"name": "A project"}))["result"]["project_id"]
        job = (await ask(pipeline, "job.create", {"project_id": project, "title": "A job"}))["result"]
        this = {"job_id": job["job_id"]}
        await ask(pipeline, "job.confirm-upload", {**this, "video_uri": asset["url"]})

        async def ended(url: str) -> bool:
            return (await client.get(url)).status_code == 403

        await until(lambda: ended(asset["url"]))
        replicate.lives.extend([[PROCESSING], [succeeded("The draft.")]])
        inputs: list[str] = []
        read: list[asyncio.Task[httpx.Response]] = []

        def provider_reads() -> None:
            """At once: an input is good for seconds."""
            inputs.append(str(replicate.predictions[-1].input["video"]))
            read.append(asyncio.create_task(client.get(inputs[-1])))

        replicate.on_create = provider_reads
        config = tmp_path / "bridge.toml"
        text = settings_text(pipeline.daemon.nats_url, replicate.base_url, model=MODEL, work="job.process")
        config.write_text(text.replace(text.split('secrets = ["')[1].split('"')[0], SECRET))
        async with bridge(load_settings(config, {}), TUNING):
            await ask(pipeline, "job.run", this)
            await replicate.until(lambda: len(inputs) == 1)
            await until(lambda: ended(inputs[0]))
            # The provider comes to read its input only when the URL that it was given has ended.
            gone = f"403 Client Error: Forbidden for url: {asset['url'].split('?')[0]}"
            replicate.set_life(replicate.predictions[0], failed(gone))
            await replicate.until(lambda: len(inputs) == 2)
            assert {url.split("?")[0] for url in inputs} == {asset["url"].split("?")[0]}
            assert (await read[1]).content == files.mov()

            async def drafted() -> bool:
                return bool((await view(pipeline, job["job_id"]))["status"] == "AWAITING_APPROVAL")

            await until(drafted)
        await asyncio.gather(*read)
