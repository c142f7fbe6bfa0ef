"""A bridge that is stopped or killed in the middle: nothing is paid for twice, nothing is told twice differently."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.errors import StartError
from daemon.process.runtime_file import Runtime, write_runtime
from daemon.process.state_lock import StateLock
from daemon.settings.loading import load_settings
from daemon.settings.model import Settings
from tests.adapters.providers.replicate_server import PROCESSING, Fault, failed, processing, succeeded
from tests.daemon.bridge.bridge_harness import SECRET, Pipeline, pipeline, until_metric, work_consumer
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.kills

PROGRAM = """
import asyncio, sys
from pathlib import Path
from daemon.bridge import process
from daemon.settings.loading import load_settings
tuning = process.Tuning(ack_wait_s=1.0, first_wait_s=0.02, check_s=0.2)
sys.exit(asyncio.run(process._until_signal(load_settings(Path(sys.argv[1]), {}), tuning)))
"""


@pytest_asyncio.fixture
async def pipe(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with pipeline(tmp_path) as running:
        yield running


@asynccontextmanager
async def bridge_process(
    pipe: Pipeline, program: str = PROGRAM, stdout: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The bridge as a process of its own; killed at the end where it still runs."""
    command = (sys.executable, "-c", program, str(pipe.settings_file))
    process = await asyncio.create_subprocess_exec(*command, stdout=stdout)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def bridge_at_work(pipe: Pipeline) -> AsyncIterator[asyncio.subprocess.Process]:
    """A bridge that polls for a prediction which it has created."""
    pipe.replicate.lives.append([PROCESSING])
    pipe.configure()
    async with bridge_process(pipe) as process:
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 3)
        yield process


async def expect_another_to_go_on(pipe: Pipeline) -> None:
    """The next bridge sees the prediction end and tells it; it creates none of its own."""
    pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
    async with bridge_process(pipe):
        await pipe.last_payload("READY")
        await pipe.until_acknowledged()
    assert len(pipe.replicate.of("create")) == 1


def by_event(payloads: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Every body that was sent under one event id."""
    found: dict[str, set[str]] = {}
    for payload in payloads:
        found.setdefault(payload["event_id"], set()).add(json.dumps(payload, sort_keys=True))
    return found


async def test_a_stopped_bridge_leaves_its_prediction_to_the_next_start(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([processing(30)])
    settings = pipe.configure()
    async with pipe.bridge(settings, ack_wait_s=600.0):
        await pipe.dispatch()
        await pipe.until_callbacks(lambda payloads: len(payloads) == 2)
    assert pipe.replicate.predictions[0].cancel_requests == 0
    pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
    async with pipe.bridge(settings, ack_wait_s=600.0):  # it was given back: nobody waits for a lease to run out
        await pipe.last_payload("READY")
        await pipe.until_acknowledged()
    assert len(pipe.replicate.predictions) == 1
    payloads = await pipe.payloads()
    assert [payload["sequence"] for payload in payloads] == list(range(1, len(payloads) + 1))


@pytest.mark.process
async def test_sigterm_ends_the_process_and_another_one_goes_on(pipe: Pipeline) -> None:
    async with bridge_at_work(pipe) as first:
        first.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert await first.wait() == 0
    await expect_another_to_go_on(pipe)


@pytest.mark.process
async def test_a_killed_bridge_is_taken_over_where_it_stood(pipe: Pipeline) -> None:
    async with bridge_at_work(pipe) as first:
        first.kill()
        await first.wait()
    await expect_another_to_go_on(pipe)
    payloads = await pipe.payloads()
    assert all(len(bodies) == 1 for bodies in by_event(payloads).values())


@pytest.mark.process
async def test_what_a_killed_bridge_held_is_given_back_long_before_its_lease_runs_out(pipe: Pipeline) -> None:
    """The daemon's consumer waits as long as the work's deadline: an hour."""
    await pipe.js.delete_consumer("HG_WORK", "headgate-work-job-render")
    await work_consumer(pipe.js, ack_wait_s=3_600.0)
    async with bridge_at_work(pipe) as first:
        first.kill()
        await first.wait()
    await expect_another_to_go_on(pipe)


@pytest.mark.process
async def test_a_bridge_killed_while_it_creates_finds_the_prediction_again(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([PROCESSING])
    pipe.configure()
    async with bridge_process(pipe) as first:
        pipe.replicate.on_create = first.kill
        await pipe.dispatch()
        await first.wait()
    pipe.replicate.on_create = None
    assert len(pipe.replicate.predictions) == 1
    pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
    async with bridge_process(pipe):
        await pipe.last_payload("READY")
    assert len(pipe.replicate.predictions) == 1
    assert len(pipe.replicate.of("list")) == 1


@pytest.mark.process
async def test_the_process_says_when_it_is_ready_and_never_its_secrets(pipe: Pipeline) -> None:
    pipe.configure()
    program = "import sys; from pathlib import Path; from daemon.bridge import run; "
    program += "from daemon.settings.loading import load_settings; sys.exit(run(load_settings(Path(sys.argv[1]), {})))"
    async with bridge_process(pipe, program, stdout=asyncio.subprocess.PIPE) as process:
        await pipe.dispatch()
        await pipe.until_acknowledged()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert {"ready", "prediction_running", "stopped"} <= set(events)
    for secret in (pipe.replicate.token, SECRET, pipe.server.url.partition("@")[0].removeprefix("nats://")):
        assert secret.encode() not in output


async def test_a_retry_after_a_restart_does_not_adopt_the_failed_prediction(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[failed()], [succeeded()]])
    pipe.replicate.faults["create"].extend([Fault(0), Fault(0)])
    settings = pipe.configure()
    async with pipe.bridge(settings):
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.predictions) == 1)
    async with pipe.bridge(settings):
        await pipe.last_payload("READY")
    assert len(pipe.replicate.predictions) == 2


async def test_the_last_callback_is_sent_when_its_stream_has_room_again(pipe: Pipeline) -> None:
    config = (await pipe.js.stream_info("HG_CALLBACK")).config
    pipe.replicate.lives.append([PROCESSING])
    async with pipe.bridge() as running:
        await pipe.dispatch()
        await pipe.until_callbacks(lambda payloads: len(payloads) >= 1)
        config.max_msgs, config.discard = 1, "new"  # type: ignore[assignment] # the server's word for the enum
        await pipe.js.purge_stream("HG_CALLBACK", keep=1)
        await pipe.js.update_stream(config)
        pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
        await until_metric(running, 1, "headgate_bridge_errors_total", reason="nats")
        assert (await pipe.js.stream_info("HG_WORK")).state.messages == 1
        config.max_msgs = -1
        await pipe.js.update_stream(config)
        await pipe.until_acknowledged()
    assert (await pipe.payloads())[-1]["status"] == "READY"


async def test_work_that_was_finished_is_only_acknowledged_when_it_comes_again(pipe: Pipeline) -> None:
    async with pipe.bridge():
        await pipe.dispatch()
        await pipe.last_payload("READY")
        await pipe.until_acknowledged()
        told = len(await pipe.payloads())
        await pipe.dispatch()
        await pipe.until_acknowledged()
    assert len(await pipe.payloads()) == told
    assert len(pipe.replicate.predictions) == 1


async def test_an_older_attempt_that_comes_late_is_dropped(pipe: Pipeline) -> None:
    async with pipe.bridge():
        await pipe.dispatch(attempt=2)
        await pipe.last_payload("READY")
        told = len(await pipe.payloads())
        await pipe.dispatch(attempt=1)
        await pipe.until_acknowledged()
    assert len(await pipe.payloads()) == told


async def test_a_cancellation_while_no_bridge_ran_ends_the_prediction_at_the_next_start(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([PROCESSING])
    settings = pipe.configure()
    async with pipe.bridge(settings):
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
    await pipe.js.purge_stream("HG_WORK")  # the daemon withdraws the work of a cancelled job
    await pipe.set_view(status="CANCELLED")
    async with pipe.bridge(settings):
        await pipe.replicate.until(lambda: pipe.replicate.predictions[0].cancel_requests == 1)


async def test_two_bridges_share_the_work_and_create_each_prediction_once(pipe: Pipeline) -> None:
    settings = pipe.configure()
    async with pipe.bridge(settings), pipe.bridge(settings):
        for number in range(12):
            await pipe.dispatch(work_id=f"w-{number}", callback_subject=f"hg.callback.job.j-{number}")
        await pipe.until_acknowledged()
    ready = [payload["job_id"] for payload in await pipe.payloads() if payload["status"] == "READY"]
    assert sorted(ready) == sorted(f"j-{number}" for number in range(12))
    assert len(pipe.replicate.predictions) == 12


async def test_a_restart_of_the_server_is_waited_out(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([PROCESSING])
    async with pipe.bridge(ack_wait_s=5.0, heartbeat_s=0.1):
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
        await pipe.server.stop()
        await pipe.server.start()
        pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
        await pipe.until_back()
        await pipe.last_payload("READY")
        await pipe.until_acknowledged()
    assert len(pipe.replicate.predictions) == 1


async def test_a_bridge_finds_the_daemon_of_an_embedded_server_and_notices_when_it_has_moved(pipe: Pipeline) -> None:
    state = pipe.folder / "daemon"
    state.mkdir()
    lock = StateLock(state)
    lock.acquire()
    text = pipe.configure_text().replace('mode = "external"', 'mode = "embedded"')
    (pipe.folder / "embedded.toml").write_text(f'{text}\n[daemon]\nstate_dir = "{state}"\n')
    settings = load_settings(pipe.folder / "embedded.toml", {})
    write_runtime(state, Runtime(1, pipe.server.url, "http://127.0.0.1:1", "2026-11-20T10:15:30Z"))
    try:
        async with pipe.bridge(settings) as running:
            await pipe.dispatch()
            await pipe.last_payload("READY")
            write_runtime(state, Runtime(2, "nats://127.0.0.1:1", "http://127.0.0.1:1", "2026-11-20T10:15:31Z"))
            await pipe.server.stop()
            async with asyncio.timeout(PATIENCE_S):
                await running.over.wait()
    finally:
        lock.release()


async def test_without_a_daemon_the_start_says_so_in_one_line(pipe: Pipeline) -> None:
    settings = pipe.configure(more="")

    def waiting(seconds: float) -> Settings:
        return settings.model_copy(update={"nats": settings.nats.model_copy(update={"connect_timeout_s": seconds})})

    await pipe.js.delete_stream("HG_WORK")
    with pytest.raises(StartError, match="HG_WORK is not there"):
        async with pipe.bridge(waiting(3.0)):
            pytest.fail("it started")
    await pipe.server.stop()
    with pytest.raises(StartError, match=r"no connection to NATS|cannot connect"):
        async with pipe.bridge(waiting(0.3)):
            pytest.fail("it started")
