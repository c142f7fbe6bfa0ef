"""Jobs as their owners and workers meet them: a real daemon, the example's worker, commands and callbacks."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.end_to_end.conftest import SECRET, SETTINGS, Json, Pipeline, until
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.records.envelopes import enveloped
from tests.support.waiting import PATIENCE_S

WORKER = Path(__file__).parents[2] / "examples" / "worker.py"

pytestmark = [pytest.mark.process, pytest.mark.kills]


@contextmanager
def example_worker(daemon: DaemonProcess) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(WORKER), daemon.nats_url, SECRET])
    try:
        yield
        assert process.poll() is None, "the worker ended"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


async def ask(pipeline: Pipeline, name: str, payload: Json, *, timeout_s: float = PATIENCE_S, **fields: Any) -> Json:
    """A command; the payload of its reply."""
    envelope = enveloped(name, payload, **{"producer": "owner", **fields})
    reply = await pipeline.nc.request(f"hg.cmd.{name}", json.dumps(envelope).encode(), timeout=timeout_s)
    answer: Json = json.loads(reply.data)["payload"]
    return answer


async def new_job(pipeline: Pipeline, **more: object) -> str:
    project = (await ask(pipeline, "project.create", {"name": "A project"}))["result"]["project_id"]
    made = await ask(pipeline, "job.create", {"project_id": project, "title": "A job", "prompt": "Say it", **more})
    return str(made["result"]["job_id"])


async def view(pipeline: Pipeline, job_id: str) -> Json:
    found: Json = (await ask(pipeline, "job.get", {"job_id": job_id}))["result"]
    return found


def signed_report(sequence: int, status: str, **said: object) -> Json:
    return {"event_id": str(uuid.uuid4()), "sequence": sequence, "status": status, **said}


async def test_a_job_goes_all_the_way_with_the_worker_of_the_examples(pipeline: Pipeline) -> None:
    job_id = await new_job(pipeline)
    this = {"job_id": job_id}
    bucket = await pipeline.js.key_value("HG_STATUS")
    watcher = await bucket.watch(f"job.{job_id}", include_history=False)

    with example_worker(pipeline.daemon):
        assert (await ask(pipeline, "job.run", this))["status"] == 202

        async def drafted() -> bool:
            return bool((await view(pipeline, job_id))["status"] == "AWAITING_APPROVAL")

        await until(drafted)

    transcript = await ask(pipeline, "job.transcript", this)
    assert [item["text"] for item in transcript["result"]["items"]] == ["Say it"]
    assert (await ask(pipeline, "job.approve", this))["result"]["approved"] is True
    assert (await ask(pipeline, "job.render", this))["status"] == 202
    message, order = await pipeline.take_work("job.render")
    assert order["instruction"]["blocks"][0]["text"] == "Say it"
    done = signed_report(1, "READY", attempt=order["attempt"], artifacts={"video_url": "https://videos.example/1"})
    assert (await pipeline.report("job", job_id, "job.status", done))["status"] == 204
    await message.ack()
    final = await view(pipeline, job_id)
    assert (final["status"], final["actual_cost_usd"]) == ("READY", "0.002000")

    versions: list[int] = []
    while not versions or versions[-1] < final["version"]:
        entry = await watcher.updates(timeout=PATIENCE_S)  # type: ignore[no-untyped-call]  # the client has no type for it
        if entry is not None:
            versions.append(json.loads(entry.value)["version"])
    assert versions == sorted(set(versions))
    assert await events_of(pipeline, job_id, final["version"]) == [
        ("created", 1),
        ("transitioned", 2),
        ("transitioned", 3),
        ("transitioned", 4),
        ("transitioned", 5),
        ("transitioned", 6),
        ("approved", 7),
        ("transitioned", 8),
        ("transitioned", 9),
    ]


async def events_of(pipeline: Pipeline, job_id: str, version: int) -> list[tuple[str, int]]:
    """What listeners were told of the job in order, of *version* and of all that is there then."""
    listener = await pipeline.js.subscribe(f"hg.event.job.{job_id}.*", ordered_consumer=True)
    told: list[tuple[str, int]] = []
    left = 1
    while left or told[-1][1] < version:
        message = await listener.next_msg(timeout=PATIENCE_S)
        told.append((message.subject.rpartition(".")[2], json.loads(message.data)["payload"]["version"]))
        left = message.metadata.num_pending
    return told


async def test_work_of_a_cancelled_job_leaves_the_queue_and_its_worker_is_told(pipeline: Pipeline) -> None:
    job_id = await new_job(pipeline)
    told = await pipeline.nc.subscribe(f"hg.event.job.{job_id}.cancelled")
    await ask(pipeline, "job.run", {"job_id": job_id})

    async def queued() -> bool:
        return await pipeline.waiting_work() == 1

    async def empty() -> bool:
        return await pipeline.waiting_work() == 0

    await until(queued)

    assert (await ask(pipeline, "job.cancel", {"job_id": job_id}))["status"] == 200
    await until(empty)
    cancelled = json.loads((await told.next_msg(timeout=PATIENCE_S)).data)["payload"]
    assert (cancelled["to"], cancelled["attempt"]) == ("CANCELLED", 1)
    late = await pipeline.report("job", job_id, "job.status", signed_report(1, "TRANSCRIBING"))
    assert (late["status"], late["error"]["code"]) == (409, "INVALID_TRANSITION")


async def test_a_forbidden_callback_on_a_quiet_stream_is_refused_at_once(pipeline: Pipeline) -> None:
    job_id = await new_job(pipeline)
    await ask(pipeline, "job.run", {"job_id": job_id})

    refused = await pipeline.report("job", job_id, "job.status", signed_report(1, "READY"))

    assert (refused["outcome"], refused["error"]["code"]) == ("refused", "INVALID_TRANSITION")
    assert pipeline.one("SELECT code FROM dead_letters WHERE kind = 'job.status'") == "INVALID_TRANSITION"


async def test_an_unsigned_callback_changes_nothing(pipeline: Pipeline) -> None:
    job_id = await new_job(pipeline)
    await ask(pipeline, "job.run", {"job_id": job_id})
    forged = {"webhook-id": "e", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}

    refused = await pipeline.report("job", job_id, "job.status", signed_report(1, "TRANSCRIBING"), **forged)

    assert (refused["status"], refused["error"]["code"]) == (401, "CALLBACK_SIGNATURE_INVALID")
    assert (await view(pipeline, job_id))["status"] == "QUEUED"


async def test_commands_survive_a_killed_daemon_exactly_once(pipeline: Pipeline) -> None:
    """What was answered is there after SIGKILL, and asking again gets the same answer."""
    job_id = await new_job(pipeline)
    asked: dict[str, Any] = {"message_id": "run-once"}
    first = await ask(pipeline, "job.run", {"job_id": job_id}, **asked)

    await pipeline.kill_and_restart()
    again = await ask(pipeline, "job.run", {"job_id": job_id}, **asked)

    assert (first["status"], again["status"], again["replayed"]) == (202, 200, True)
    assert again["result"] == first["result"]
    _, order = await pipeline.take_work("job.process")
    assert order["job_id"] == job_id

    async def shown() -> bool:
        entry = await (await pipeline.js.key_value("HG_STATUS")).get(f"job.{job_id}")
        return bool(json.loads(entry.value or b"null")["version"] == 3)

    await until(shown)
    assert await pipeline.waiting_work() == 1


async def test_without_a_token_nothing_is_told(tmp_path: Path) -> None:
    """With tokens demanded, every command is refused alike."""
    auth = '[auth]\nmode = "jwt"\njwt_secret = "0123456789abcdef0123456789abcdef"\n'
    with running_daemon(tmp_path / "home", SETTINGS + auth) as daemon:
        nc = await nats.connect(daemon.nats_url)
        pipeline = Pipeline(daemon, nc)
        refused = [await ask(pipeline, name, {"job_id": "j"}) for name in ("job.get", "job.run", "job.cancel")]
        await nc.close()

    assert {(each["status"], each["error"]["code"]) for each in refused} == {(401, "UNAUTHENTICATED")}
