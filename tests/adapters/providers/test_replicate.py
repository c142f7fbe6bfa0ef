"""The adapter against a server that speaks Replicate's protocol."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import pytest_asyncio

from adapters.providers import PredictionRequest, PredictionStatus, Provider, ProviderError, Reason
from adapters.providers.replicate import Replicate
from tests.adapters.providers.replicate_server import (
    PROCESSING,
    STARTING,
    Fault,
    ReplicateServer,
    failed,
    processing,
    succeeded,
)

REQUEST = PredictionRequest("acme/video", {"prompt": "a lighthouse"}, deadline_s=600)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ReplicateServer]:
    async with ReplicateServer() as running:
        yield running


@pytest_asyncio.fixture
async def replicate(server: ReplicateServer) -> AsyncIterator[Provider]:
    client = Replicate(server.base_url, server.token)
    yield client
    await client.close()


def now() -> int:
    return time.time_ns() // 1_000


async def error_of(server: ReplicateServer, fault: Fault, replicate: Provider) -> ProviderError:
    server.faults["create"].append(fault)
    with pytest.raises(ProviderError) as caught:
        await replicate.create(REQUEST)
    return caught.value


# --- predictions


async def test_an_official_model_is_run_by_its_name(server: ReplicateServer, replicate: Provider) -> None:
    prediction = await replicate.create(REQUEST)
    assert prediction.status is PredictionStatus.STARTING
    (request,) = server.of("create")
    assert request.path == "/v1/models/acme/video/predictions"
    assert request.body == {"input": {"prompt": "a lighthouse"}}


async def test_a_version_is_run_by_its_id(server: ReplicateServer, replicate: Provider) -> None:
    await replicate.create(PredictionRequest("acme/video:abc123", {"n": 1}, 60))
    (request,) = server.of("create")
    assert request.path == "/v1/predictions"
    assert request.body == {"version": "abc123", "input": {"n": 1}}


async def test_every_request_carries_the_token_and_creations_a_deadline(
    server: ReplicateServer, replicate: Provider
) -> None:
    prediction = await replicate.create(REQUEST)
    await replicate.get(prediction.id)
    await replicate.cancel(prediction.id)
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer r8_secret"}
    assert server.of("create")[0].headers["cancel-after"] == "600s"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_base_url_may_name_the_version_or_not(server: ReplicateServer, suffix: str) -> None:
    client = Replicate(server.base_url + suffix, server.token)
    await client.create(REQUEST)
    await client.close()
    assert server.of("create")


async def test_a_prediction_is_told_with_progress_output_and_runtime(
    server: ReplicateServer, replicate: Provider
) -> None:
    server.lives.append([STARTING, processing(45), succeeded(["https://x.example/a.mp4"], seconds=3.25)])
    prediction = await replicate.create(REQUEST)
    looks = [await replicate.get(prediction.id) for _ in range(3)]
    assert [look.status for look in looks] == ["starting", "processing", "succeeded"]
    assert [look.progress for look in looks] == [None, 45, None]
    assert looks[2].output == ["https://x.example/a.mp4"]
    assert looks[2].runtime_s == 3.25
    assert [look.status.is_final for look in looks] == [False, False, True]


async def test_a_failed_prediction_tells_why(server: ReplicateServer, replicate: Provider) -> None:
    server.lives.append([failed("CUDA out of memory")])
    prediction = await replicate.create(REQUEST)
    ended = await replicate.get(prediction.id)
    assert (ended.status, ended.error) == (PredictionStatus.FAILED, "CUDA out of memory")


async def test_aborted_is_another_word_for_canceled(server: ReplicateServer, replicate: Provider) -> None:
    server.lives.append([{"status": "aborted"}])
    prediction = await replicate.create(REQUEST)
    assert (await replicate.get(prediction.id)).status is PredictionStatus.CANCELED


async def test_cancelling_answers_how_the_prediction_stands(server: ReplicateServer, replicate: Provider) -> None:
    server.lives.append([PROCESSING])
    prediction = await replicate.create(REQUEST)
    cancelled = await replicate.cancel(prediction.id)
    assert cancelled is not None
    assert (cancelled.status, cancelled.runtime_s) == (PredictionStatus.CANCELED, 0.5)


async def test_cancelling_what_is_not_known_is_fine(server: ReplicateServer, replicate: Provider) -> None:
    assert await replicate.cancel("p9999") is None
    assert len(server.of("cancel")) == 1


# --- finding a lost creation


async def test_a_creation_whose_answer_was_lost_is_found_again(server: ReplicateServer, replicate: Provider) -> None:
    since = now()
    error = await error_of(server, Fault(0, acts=True), replicate)
    assert error.may_have_happened
    (found,) = await replicate.find(REQUEST, since=since)
    assert found.id == server.predictions[0].id


async def test_only_predictions_of_the_same_request_are_found_over_all_pages(
    server: ReplicateServer, replicate: Provider
) -> None:
    server.page_size = 2
    since = now()
    first = await replicate.create(REQUEST)
    await replicate.create(PredictionRequest("acme/other", REQUEST.inputs, 60))
    await replicate.create(PredictionRequest("acme/video", {"prompt": "another"}, 60))
    await replicate.create(PredictionRequest("acme/video:v1", REQUEST.inputs, 60))
    last = await replicate.create(REQUEST)
    found = await replicate.find(REQUEST, since=since)
    assert [prediction.id for prediction in found] == [first.id, last.id]
    assert [request.query.get("cursor") for request in server.of("list")] == [None, "2", "4"]


async def test_what_was_created_long_before_is_not_found(server: ReplicateServer, replicate: Provider) -> None:
    await replicate.create(REQUEST)
    server.predictions[0].created_at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert await replicate.find(REQUEST, since=now()) == []


async def test_defaults_that_the_provider_adds_to_the_inputs_do_not_hide_a_prediction(
    server: ReplicateServer, replicate: Provider
) -> None:
    since = now()
    await replicate.create(REQUEST)
    server.predictions[0].input = {**REQUEST.inputs, "fps": 24}
    assert len(await replicate.find(REQUEST, since=since)) == 1


# --- errors


@pytest.mark.parametrize(
    ("fault", "reason", "passes", "unknown"),
    [
        (Fault(500, body={"detail": "boom"}), Reason.SERVER_ERROR, True, True),
        (Fault(503, body=b"<html>"), Reason.SERVER_ERROR, True, True),
        (Fault(429, body={"detail": "throttled"}), Reason.RATE_LIMITED, True, False),
        (Fault(401, body={"detail": "no"}), Reason.UNAUTHORIZED, True, False),
        (Fault(402, body={"detail": "no credit"}), Reason.UNAUTHORIZED, True, False),
        (Fault(422, body={"detail": "prompt is required"}), Reason.REFUSED, False, False),
        (Fault(404, body={"detail": "Not found."}), Reason.NOT_FOUND, False, False),
        (Fault(201, body=b"not json"), Reason.PROTOCOL, True, True),
        (Fault(201, body={"no": "id"}), Reason.PROTOCOL, True, True),
        (Fault(201, body={"id": "p1", "status": "dreaming"}), Reason.PROTOCOL, True, True),
        (Fault(201, body={"id": "../account", "status": "starting"}), Reason.PROTOCOL, True, True),
        (Fault(0), Reason.CONNECTION, True, True),
    ],
)
async def test_each_fault_has_its_reason(
    server: ReplicateServer, replicate: Provider, fault: Fault, reason: Reason, passes: bool, unknown: bool
) -> None:
    error = await error_of(server, fault, replicate)
    assert (error.reason, error.passes, error.may_have_happened) == (reason, passes, unknown)


async def test_a_refusal_is_told_in_the_providers_words(server: ReplicateServer, replicate: Provider) -> None:
    body = {"title": "Input validation failed", "detail": "- input: prompt is required\n", "status": 422}
    error = await error_of(server, Fault(422, body=body), replicate)
    assert "Input validation failed" in error.detail
    assert "prompt is required" in error.detail


async def test_a_server_that_is_not_there_is_a_connection_error_and_nothing_happened() -> None:
    client = Replicate("http://127.0.0.1:9", "token")
    with pytest.raises(ProviderError) as caught:
        await client.create(REQUEST)
    await client.close()
    assert caught.value.reason is Reason.CONNECTION
    assert not caught.value.may_have_happened


IN_AN_HOUR = "in an hour"


@pytest.mark.parametrize(
    ("headers", "body", "least", "most"),
    [
        ({"retry-after": "7"}, None, 7, 7),
        ({"retry-after": "0.5"}, None, 0.5, 0.5),
        ({"retry-after": IN_AN_HOUR}, None, 3500, 3600),
        ({"retry-after": "Fri, 01 Jan 2021 00:00:00 GMT"}, None, 0, 0),
        ({}, {"detail": "Request was throttled. Your rate limit resets in ~30s."}, 30, 30),
    ],
)
async def test_retry_after_is_read_in_every_form(
    server: ReplicateServer, replicate: Provider, headers: dict[str, str], body: object, least: float, most: float
) -> None:
    # A moment is of the test's own time: the table was made when the tests were collected.
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    told = {name: in_an_hour if value == IN_AN_HOUR else value for name, value in headers.items()}
    error = await error_of(server, Fault(429, told, body), replicate)
    assert error.retry_after_s is not None
    assert least <= error.retry_after_s <= most


@pytest.mark.parametrize("header", ["soon", "-1", "99999999999999999999", ""])
async def test_a_retry_after_that_says_nothing_is_no_promise(
    server: ReplicateServer, replicate: Provider, header: str
) -> None:
    error = await error_of(server, Fault(429, {"retry-after": header}), replicate)
    assert error.retry_after_s is None


# --- where the token goes


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(server: ReplicateServer, replicate: Provider, status: int) -> None:
    async with ReplicateServer() as elsewhere:
        location = {"location": f"{elsewhere.base_url}/v1/predictions"}
        error = await error_of(server, Fault(status, location), replicate)
        assert error.reason is Reason.PROTOCOL
        assert elsewhere.requests == []


async def test_urls_in_answers_are_not_visited(
    server: ReplicateServer, replicate: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's predictions name another host in ``urls``, and so do its lists in ``next``; proxies are ignored."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.page_size = 1
    since = now()
    for _ in range(2):
        await replicate.create(REQUEST)
    assert len(await replicate.find(REQUEST, since=since)) == 2
    assert len(server.of("list")) == 2


@pytest.mark.parametrize("prediction_id", ["../account", "p1/cancel", "p1?x=1", "", "@evil.example", "p" * 200])
async def test_an_id_that_is_no_word_makes_no_request(
    server: ReplicateServer, replicate: Provider, prediction_id: str
) -> None:
    with pytest.raises(ProviderError):
        await replicate.get(prediction_id)
    assert server.requests == []


async def test_errors_do_not_hold_the_token(server: ReplicateServer) -> None:
    client = Replicate(server.base_url, "r8_wrong_secret")
    with pytest.raises(ProviderError) as caught:
        await client.create(REQUEST)
    await client.close()
    assert caught.value.reason is Reason.UNAUTHORIZED
    assert "r8_wrong_secret" not in f"{caught.value!r} {caught.value} {caught.value.detail}"
