"""What the broker will never take: whoever waits for it is told at once, and nobody waits for a deadline."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon.operations.operating import operating, wrong
from tests.end_to_end.conftest import SETTINGS, Json, Pipeline, until
from tests.end_to_end.test_jobs_end_to_end import ask, new_job, view
from tests.support.daemons import running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process


async def limit_messages(pipeline: Pipeline, stream: str, size: int) -> None:
    """Let the stream refuse every message of more than *size* bytes, as an operator may."""
    config = (await pipeline.js.stream_info(stream)).config
    config.max_msg_size = size
    await pipeline.js.update_stream(config)


async def test_a_job_whose_work_the_broker_refuses_fails_at_once_and_an_alert_tells(tmp_path: Path) -> None:
    with running_daemon(tmp_path, SETTINGS + "[alerts]\ninterval_s = 0.2\n") as daemon:
        async with operating(daemon) as operator:
            pipeline = Pipeline(daemon, operator.nc)
            alerts = await operator.nc.subscribe("hg.event.alert.outbox_refused.>")
            await limit_messages(pipeline, "HG_WORK", 10)
            job_id = await new_job(pipeline)
            await ask(pipeline, "job.run", {"job_id": job_id})

            async def failed() -> Json | None:
                job = await view(pipeline, job_id)
                return job if job["status"] == "FAILED" else None

            job = await until(failed)
            alert = json.loads((await alerts.next_msg(timeout=PATIENCE_S)).data)["payload"]

            await pipeline.send(
                "feed.item",
                {
                    "item_id": "i-1",
                    "source": "s",
                    "title": "t",
                    "url": "https://example.org/",
                    "published_at": "2026-11-20T10:15:30Z",
                },
            )

            async def given_up() -> bool:
                with closing(sqlite3.connect(daemon.database)) as connection:
                    return connection.execute("SELECT status FROM feed_items").fetchall() == [("failed",)]

            await until(given_up)

    assert (job["error"]["code"], "message size" in job["error"]["message"]) == ("UNDELIVERABLE", True)
    assert (alert["value"], alert["severity"]) == (1.0, "critical")
    assert alert["facts"]["newest"][0].startswith("HG_WORK ")


async def test_a_replay_that_the_broker_refuses_opens_its_letter_and_ends_its_run(tmp_path: Path) -> None:
    with running_daemon(tmp_path, SETTINGS) as daemon:
        async with operating(daemon) as operator:
            pipeline = Pipeline(daemon, operator.nc)
            await operator.publish(wrong(1))
            letter = await operator.letter_of("m-1")
            await limit_messages(pipeline, "HG_REPLAY", 10)
            answer = await operator.result("replay-failed", ids=[letter["dead_letter_id"]])
            run = await operator.ended(answer["run_id"])
            (item,) = (await operator.result("replay-status", run_id=answer["run_id"]))["items"]
            opened = await operator.letter(letter["dead_letter_id"])

    assert (run["status"], run["result"]["still_failed"]) == ("succeeded", 1)
    assert (item["outcome"], item["reason"]) == ("still_failed", "UPSTREAM_FAILED")
    assert (opened["state"], opened["error"]["code"]) == ("open", "UPSTREAM_FAILED")
