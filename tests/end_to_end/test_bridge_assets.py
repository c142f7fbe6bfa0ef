"""The bridge beside a real daemon: an input URL of one of its assets that has expired is signed anew."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from daemon.bridge.process import bridge
from daemon.settings.loading import load_settings
from tests.adapters.providers.replicate_server import ReplicateServer, failed, succeeded
from tests.daemon.bridge.bridge_harness import TUNING
from tests.daemon.operations.operating import operating
from tests.end_to_end.conftest import SECRET, SETTINGS, Json, Pipeline, until
from tests.end_to_end.test_assets_end_to_end import uploaded
from tests.end_to_end.test_jobs_end_to_end import ask, new_job, view
from tests.support import files
from tests.support.daemons import running_daemon

pytestmark = pytest.mark.process


def bridge_settings(folder: Path, nats_url: str, base_url: str) -> Path:
    """The settings of a bridge that writes what a picture shows."""
    path = folder / "bridge.toml"
    path.write_text(
        f"""
        [nats]
        mode = "external"
        url = "{nats_url}"
        [callbacks]
        secrets = ["{SECRET}"]
        [bridge.replicate]
        base_url = "{base_url}"
        token = "r8_secret"
        work = ["job.process"]
        poll_interval_s = 0.02
        [bridge.replicate.models."job.process"]
        model = "acme/captions"
        inputs = {{ image = "{{video_uri}}" }}
        """
    )
    return path


async def test_an_expired_url_of_an_asset_is_signed_anew_by_the_daemon(tmp_path: Path) -> None:
    picture = files.png()
    with running_daemon(tmp_path, SETTINGS) as daemon:
        async with operating(daemon) as operator, httpx.AsyncClient() as client, ReplicateServer() as replicate:
            pipeline = Pipeline(daemon, operator.nc)
            asset = await uploaded(pipeline, client, picture)
            expired = f"{urlsplit(asset['url'])._replace(query='').geturl()}?expires=1&signature=old"
            assert (await client.get(expired)).status_code == 403
            replicate.lives.extend([[failed("HTTP Error 403: Forbidden for url")], [succeeded(["a red picture"])]])
            job_id = await uploaded_job(pipeline, expired)
            settings = load_settings(bridge_settings(tmp_path, daemon.nats_url, replicate.base_url), {})
            async with bridge(settings, TUNING):

                async def drafted() -> Json | None:
                    job = await view(pipeline, job_id)
                    return job if job["status"] in ("AWAITING_APPROVAL", "FAILED") else None

                job = await until(drafted)
            first, second = (prediction.input["image"] for prediction in replicate.predictions)
            got = await client.get(second)

    assert job["status"] == "AWAITING_APPROVAL", job["error"]
    assert first == expired
    assert (got.status_code, got.content) == (200, picture)


async def uploaded_job(pipeline: Pipeline, video_uri: str) -> str:
    """A job that works on what lies at *video_uri*, handed out."""
    job_id = await new_job(pipeline, prompt=None)
    await ask(pipeline, "job.confirm-upload", {"job_id": job_id, "video_uri": video_uri})
    run = await ask(pipeline, "job.run", {"job_id": job_id})
    assert run["status"] == 202, run
    return job_id
