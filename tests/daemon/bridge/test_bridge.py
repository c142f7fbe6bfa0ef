"""The bridge at work: predictions, callbacks, costs, retries, cancellation."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.adapters.providers.replicate_server import (
    PROCESSING,
    STARTING,
    Fault,
    failed,
    processing,
    succeeded,
)
from tests.daemon.bridge.bridge_harness import Pipeline, metric, pipeline, work_consumer

LEASE_S = 3.0
FORBIDDEN = "403 Client Error: Forbidden for url: https://files.example/in.mp4?sig=1"


@pytest_asyncio.fixture
async def pipe(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with pipeline(tmp_path) as running:
        yield running


async def test_work_becomes_a_prediction_and_its_output_a_signed_callback(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([STARTING, processing(40), succeeded(seconds=2.5)])
    async with pipe.bridge():
        await pipe.dispatch()
        ready = await pipe.last_payload("READY")
        await pipe.until_acknowledged()
    assert ready["artifacts"] == {"video_url": "https://delivery.example/out.mp4"}
    assert ready["cost_usd"] == "0.025000"
    (creation,) = pipe.replicate.of("create")
    assert creation.path == "/v1/models/acme/video/predictions"
    assert creation.body["input"] == {
        "prompt": "A lighthouse",
        "image": "https://files.example/in.mp4?sig=1",
        "fps": 24,
    }


async def test_callbacks_are_envelopes_in_order_with_an_id_of_their_own(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([STARTING, processing(10), processing(50), succeeded()])
    async with pipe.bridge():
        await pipe.dispatch(attempt=3)
        await pipe.last_payload("READY")
    messages = await pipe.callbacks()
    envelopes = [json.loads(message.data) for message in messages]
    payloads = [envelope["payload"] for envelope in envelopes]
    assert {message.subject for message in messages} == {"hg.callback.job.j-1"}
    assert {(e["envelope_version"], e["kind"], e["schema_version"]) for e in envelopes} == {(2, "job.status", "1.0")}
    assert {envelope["trace_id"] for envelope in envelopes} == {"5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11"}
    assert [payload["sequence"] for payload in payloads] == list(range(1, len(payloads) + 1))
    assert {payload["attempt"] for payload in payloads} == {3}
    assert {payload["job_id"] for payload in payloads} == {"j-1"}
    assert len({payload["event_id"] for payload in payloads}) == len(payloads)
    assert [(payload["status"], payload["progress"]) for payload in payloads] == [
        ("RENDERING", 0),
        ("RENDERING", 10),
        ("RENDERING", 50),
        ("READY", 100),
    ]
    for message, envelope in zip(messages, envelopes, strict=True):
        assert message.headers is not None
        ids = {envelope["message_id"], envelope["payload"]["event_id"]}
        assert ids == {message.headers["webhook-id"]} == {message.headers["Nats-Msg-Id"]}


async def test_without_a_price_no_cost_is_told(pipe: Pipeline) -> None:
    async with pipe.bridge(pipe.configure(model='model = "acme/video"')):
        await pipe.dispatch()
        ready = await pipe.last_payload("READY")
    assert "cost_usd" not in ready


async def test_speech_becomes_a_transcript_and_a_draft(pipe: Pipeline) -> None:
    segments = [{"start": 0.0, "end": 1.5, "text": " Hello"}, {"start": 1.5, "end": 2.25, "text": "there"}]
    pipe.replicate.lives.append([processing(30), succeeded({"segments": segments})])
    settings = pipe.configure(work="job.process", model='model = "acme/speech:v1"\ninputs = { audio = "{video_uri}" }')
    async with pipe.bridge(settings):
        await pipe.dispatch("job.process")
        await pipe.last_payload("AWAITING_APPROVAL")
        await pipe.until_acknowledged()
    *_, drafting, approval = payloads = await pipe.payloads()
    assert [payload["status"] for payload in payloads] == [
        "TRANSCRIBING",
        "TRANSCRIBING",
        "DRAFTING",
        "AWAITING_APPROVAL",
    ]
    assert drafting["artifacts"]["transcript"] == [
        {"start_ms": 0, "end_ms": 1500, "text": "Hello"},
        {"start_ms": 1500, "end_ms": 2250, "text": "there"},
    ]
    assert [block["text"] for block in approval["artifacts"]["instruction"]["blocks"]] == ["Hello", "there"]


# --- faults of the provider


async def test_slow_starts_are_waited_for_with_signs_of_life(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([STARTING])
    async with pipe.bridge(heartbeat_s=0.05):
        await pipe.dispatch()
        await pipe.until_callbacks(lambda payloads: len(payloads) >= 4)
        pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
        await pipe.last_payload("READY")
    assert len(pipe.replicate.of("create")) == 1


async def test_retry_after_is_honoured_when_creating_and_when_polling(pipe: Pipeline) -> None:
    throttled = Fault(429, {"retry-after": "0.3"}, {"detail": "Request was throttled."})
    pipe.replicate.faults["create"].append(throttled)
    pipe.replicate.faults["get"].append(throttled)
    loop = asyncio.get_running_loop()
    async with pipe.bridge() as running:
        began = loop.time()
        await pipe.dispatch()
        await pipe.last_payload("READY")
        assert loop.time() - began >= 0.6
        assert await metric(running, "headgate_bridge_errors_total", provider="replicate", reason="rate_limited") == 2
    assert len(pipe.replicate.predictions) == 1


async def test_a_rate_limit_is_waited_out_beyond_the_time_limit(pipe: Pipeline) -> None:
    pipe.replicate.faults["create"].extend([Fault(429, {"retry-after": "0.2"})] * 3)
    async with pipe.bridge(pipe.configure(more="video_timeout_s = 0.3")):
        await pipe.dispatch()
        await pipe.last_payload("READY")
    assert len(pipe.replicate.of("create")) == 4


async def test_server_errors_are_waited_out(pipe: Pipeline) -> None:
    pipe.replicate.faults["create"].extend([Fault(500), Fault(503, body=b"<html>")])
    pipe.replicate.faults["get"].extend([Fault(502), Fault(0), Fault(500)])
    pipe.replicate.lives.append([PROCESSING, succeeded()])
    async with pipe.bridge() as running:
        await pipe.dispatch()
        await pipe.last_payload("READY")
        errors = await metric(running, "headgate_bridge_errors_total", provider="replicate", reason="server_error")
    assert errors == 4
    assert len(pipe.replicate.predictions) == 1


async def test_a_creation_whose_answer_was_lost_is_not_repeated(pipe: Pipeline) -> None:
    pipe.replicate.faults["create"].extend([Fault(500, acts=True)])
    async with pipe.bridge():
        await pipe.dispatch()
        await pipe.last_payload("READY")
    assert len(pipe.replicate.predictions) == 1


async def test_twins_whose_answers_were_lost_get_a_prediction_each(pipe: Pipeline) -> None:
    pipe.replicate.faults["create"].extend([Fault(0, acts=True)] * 2)
    async with pipe.bridge():
        await pipe.dispatch(work_id="w-1")
        await pipe.dispatch(work_id="w-2", callback_subject="hg.callback.job.j-2")
        await pipe.until_callbacks(lambda payloads: sum(payload["status"] == "READY" for payload in payloads) == 2)
    assert len(pipe.replicate.predictions) == 2


async def test_a_provider_that_takes_nothing_within_the_time_limit_is_told_as_retryable(pipe: Pipeline) -> None:
    pipe.replicate.faults["create"].extend([Fault(503)] * 100)
    async with pipe.bridge(pipe.configure(more="video_timeout_s = 0.2")):
        await pipe.dispatch()
        told = await pipe.last_payload("FAILED")
        await pipe.until_acknowledged()
    assert told["failure"]["code"] == "UPSTREAM_UNAVAILABLE"
    assert told["failure"]["retryable"] is True


async def test_a_failed_prediction_is_tried_twice_more(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[failed("broke", 1.0)], [{"status": "canceled"}], [succeeded(seconds=2.0)]])
    async with pipe.bridge() as running:
        await pipe.dispatch()
        ready = await pipe.last_payload("READY")
        assert await metric(running, "headgate_bridge_errors_total", reason="prediction_failed") == 1
        assert await metric(running, "headgate_bridge_errors_total", reason="prediction_canceled") == 1
    assert len(pipe.replicate.predictions) == 3
    assert ready["cost_usd"] == "0.030000"


async def test_an_output_that_the_provider_threw_away_is_made_again(pipe: Pipeline) -> None:
    """Replicate removes what a prediction made after an hour: it succeeded, and there is nothing to use."""
    pipe.replicate.lives.extend([[{**succeeded(), "output": None, "data_removed": True}], [succeeded()]])
    async with pipe.bridge():
        await pipe.dispatch()
        await pipe.last_payload("READY")
    assert len(pipe.replicate.predictions) == 2


async def test_after_the_last_retry_the_failure_is_told_in_the_models_words(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[failed("CUDA out of memory\nat line 3", 1.0)]] * 3)
    async with pipe.bridge():
        await pipe.dispatch()
        told = await pipe.last_payload("FAILED")
        await pipe.until_acknowledged()
    assert told["failure"] == {
        "code": "UPSTREAM_FAILED",
        "message": "the prediction failed: CUDA out of memory at line 3",
        "retryable": True,
    }
    assert told["cost_usd"] == "0.030000"
    assert len(pipe.replicate.predictions) == 3


async def test_what_the_provider_refuses_is_not_repeated(pipe: Pipeline) -> None:
    pipe.replicate.faults["create"].append(Fault(422, body={"detail": "prompt is required"}))
    async with pipe.bridge():
        await pipe.dispatch()
        told = await pipe.last_payload("FAILED")
    assert told["failure"]["code"] == "UPSTREAM_REFUSED"
    assert "prompt is required" in told["failure"]["message"]
    assert told["failure"]["retryable"] is False
    assert len(pipe.replicate.of("create")) == 1


async def test_a_prediction_beyond_its_time_limit_is_cancelled_and_tried_again(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[PROCESSING], [succeeded(seconds=1.0)]])
    async with pipe.bridge(pipe.configure(more="video_timeout_s = 0.3")):
        await pipe.dispatch()
        ready = await pipe.last_payload("READY")
    assert [prediction.cancel_requests for prediction in pipe.replicate.predictions] == [1, 0]
    assert ready["cost_usd"] == "0.015000"


async def test_images_have_a_time_limit_of_their_own(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[PROCESSING]] * 3)
    model = 'model = "acme/picture"\nmedia = "image"'
    async with pipe.bridge(pipe.configure(model=model, more="image_timeout_s = 0.1")):
        await pipe.dispatch()
        told = await pipe.last_payload("FAILED")
    assert told["failure"]["code"] == "UPSTREAM_TIMEOUT"


async def test_an_output_without_a_video_is_told_and_not_paid_for_again(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([succeeded("no url at all")])
    async with pipe.bridge():
        await pipe.dispatch()
        told = await pipe.last_payload("FAILED")
    assert told["failure"]["code"] == "OUTPUT_UNUSABLE"
    assert told["failure"]["retryable"] is False
    assert len(pipe.replicate.predictions) == 1


async def test_an_output_that_the_gate_would_refuse_is_told_as_a_failure(pipe: Pipeline) -> None:
    blocks = [{"block_id": "a", "type": "poem", "text": "x"}, {"block_id": "a", "type": "step", "text": "y"}]
    pipe.replicate.lives.append([succeeded({"instruction": {"blocks": blocks}})])
    async with pipe.bridge(pipe.configure(work="job.process", model='model = "acme/writer"')):
        await pipe.dispatch("job.process")
        told = await pipe.last_payload("FAILED")
        await pipe.until_acknowledged()
    assert told["failure"]["code"] == "OUTPUT_UNUSABLE"
    assert "breaks the contract" in told["failure"]["message"]
    assert "poem" not in told["failure"]["message"]
    assert len(pipe.replicate.predictions) == 1


async def test_an_output_that_is_too_large_for_a_callback_is_told_as_a_failure(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([succeeded(["word " * 10 + "\n"] * 6_000)])
    async with pipe.bridge(pipe.configure(work="job.process", model='model = "acme/writer"')):
        await pipe.dispatch("job.process")
        told = await pipe.last_payload("FAILED")
    assert told["failure"]["code"] == "OUTPUT_UNUSABLE"


# --- input URLs that have expired


async def test_an_expired_video_is_read_again_from_the_jobs_view(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[failed(FORBIDDEN)], [succeeded()]])
    await pipe.set_view(status="RENDERING", video_uri="https://files.example/in.mp4?sig=2")
    async with pipe.bridge():
        await pipe.dispatch()
        await pipe.last_payload("READY")
    assert pipe.replicate.predictions[1].input["image"] == "https://files.example/in.mp4?sig=2"


async def test_an_input_that_stays_expired_is_told_without_its_signature(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[failed(FORBIDDEN)]] * 3)
    async with pipe.bridge():
        await pipe.dispatch()
        told = await pipe.last_payload("FAILED")
    assert told["failure"]["code"] == "INPUT_EXPIRED"
    assert told["failure"]["retryable"] is True
    assert "sig=" not in told["failure"]["message"]


# --- cancellation


async def test_a_cancelled_job_ends_its_prediction_without_another_callback(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([PROCESSING])
    async with pipe.bridge() as running:
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
        told = len(await pipe.payloads())
        await pipe.js.publish("hg.event.job.other.cancelled", b"{}")
        await pipe.js.publish("hg.event.job.j-1.cancelled", b"{}")
        await pipe.replicate.until(lambda: pipe.replicate.predictions[0].cancel_requests == 1)
        await pipe.until_acknowledged()
        assert await metric(running, "headgate_bridge_running", work="job.render") == 0
    assert len(await pipe.payloads()) == told


async def test_a_cancellation_that_was_not_heard_is_seen_in_the_jobs_view(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([PROCESSING])
    async with pipe.bridge(heartbeat_s=0.1):
        await pipe.dispatch()
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
        await pipe.set_view(status="CANCELLED")
        await pipe.replicate.until(lambda: pipe.replicate.predictions[0].cancel_requests == 1)
        await pipe.until_acknowledged()


async def test_work_of_a_job_that_is_over_is_not_begun(pipe: Pipeline) -> None:
    await pipe.set_view(status="CANCELLED")
    async with pipe.bridge():
        await pipe.dispatch()
        await pipe.until_acknowledged()
    assert pipe.replicate.requests == []
    assert await pipe.payloads() == []


# --- work messages


async def test_work_in_hand_is_kept_alive_beyond_the_lease(pipe: Pipeline) -> None:
    """The bridge has the processor again in time, however busy the machine is: the lease is three seconds."""
    await pipe.js.delete_consumer("HG_WORK", "headgate-work-job-render")
    await work_consumer(pipe.js, ack_wait_s=LEASE_S)
    pipe.replicate.lives.append([PROCESSING])
    async with pipe.bridge(ack_wait_s=0.3):
        await pipe.dispatch()
        await pipe.until_consumer(lambda consumer: consumer.num_ack_pending == 1)
        await asyncio.sleep(LEASE_S + 1)
        info = await pipe.js.consumer_info("HG_WORK", "headgate-work-job-render")
        assert (info.num_redelivered, info.num_ack_pending) == (0, 1)
        pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
        await pipe.until_acknowledged()


async def test_no_more_is_taken_than_there_is_room_for(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[PROCESSING]] * 3)
    async with pipe.bridge(slots=2):
        for number in range(3):
            await pipe.dispatch(work_id=f"w-{number}")
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 20)
        assert len(pipe.replicate.predictions) == 2
        await pipe.until_consumer(lambda info: (info.num_ack_pending, info.num_pending) == (2, 1))
        pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
        await pipe.replicate.until(lambda: len(pipe.replicate.predictions) == 3)


async def test_a_newer_attempt_takes_the_running_prediction_over(pipe: Pipeline) -> None:
    pipe.replicate.lives.append([PROCESSING])
    async with pipe.bridge():
        await pipe.dispatch(attempt=1)
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
        await pipe.dispatch(attempt=2)
        await pipe.until_callbacks(lambda payloads: payloads[-1]["attempt"] == 2)
        pipe.replicate.set_life(pipe.replicate.predictions[0], succeeded())
        ready = await pipe.last_payload("READY")
    assert ready["attempt"] == 2
    assert len(pipe.replicate.predictions) == 1
    second = [payload["sequence"] for payload in await pipe.payloads() if payload["attempt"] == 2]
    assert second == list(range(1, len(second) + 1))


async def test_a_newer_attempt_with_other_inputs_ends_the_old_prediction(pipe: Pipeline) -> None:
    pipe.replicate.lives.extend([[PROCESSING], [succeeded()]])
    async with pipe.bridge():
        await pipe.dispatch(attempt=1)
        await pipe.replicate.until(lambda: len(pipe.replicate.of("get")) >= 2)
        await pipe.dispatch(attempt=2, video_uri="https://files.example/other.mp4")
        await pipe.last_payload("READY")
    assert [prediction.cancel_requests for prediction in pipe.replicate.predictions] == [1, 0]


async def test_work_is_taken_again_when_the_daemon_has_made_a_deleted_consumer_anew(pipe: Pipeline) -> None:
    async with pipe.bridge():
        await pipe.until_consumer(lambda info: info.num_waiting > 0)
        await pipe.js.delete_consumer("HG_WORK", "headgate-work-job-render")
        await work_consumer(pipe.js)
        await pipe.dispatch()
        await pipe.last_payload("READY")


async def test_a_consumer_that_other_workers_made_is_shared(pipe: Pipeline) -> None:
    await pipe.js.delete_consumer("HG_WORK", "headgate-work-job-render")
    await pipe.js.pull_subscribe("hg.work.job.render", durable="renderers", stream="HG_WORK")
    async with pipe.bridge():
        await pipe.dispatch()
        await pipe.last_payload("READY")
    assert "renderers" in [info.name for info in await pipe.js.consumers_info("HG_WORK")]
