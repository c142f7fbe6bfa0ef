"""Payloads of jobs, their callbacks and their work: what is taken, and where a refusal points."""

import pytest
from pydantic import ValidationError

from contracts.errors import JsonObject, JsonValue
from contracts.gate.problems import details_of
from contracts.payloads.base import Payload
from contracts.payloads.callbacks import Callback, ItemResult, JobStatus, PublishResult, TaskStatus, on_its_subject
from contracts.payloads.commands import jobs
from contracts.payloads.sent import work
from contracts.values.states import JobState, TaskState

LEAST: JsonObject = {"event_id": "e1", "sequence": 1, "status": "TRANSCRIBING"}
FULL: JsonObject = {
    **LEAST,
    "attempt": 1,
    "progress": 12.5,
    "checkpoint": {"segment": 3},
    "cost_usd": "0.25",
    "artifacts": {
        "transcript": [{"start_ms": 0, "end_ms": 0, "text": ""}, {"start_ms": 0, "end_ms": 10, "text": "hi"}],
        "storyboard": [{"scene": 1, "text": "a", "duration_s": 1, "image_url": "https://pictures/1"}],
        "instruction": {"blocks": [{"block_id": "b1", "type": "step", "text": ""}]},
        "video_url": "https://videos/1",
    },
    "failure": {"code": "X", "message": "y", "retryable": True},
    "job_id": "job-1",
}


def wrong(model: type[Payload], raw: JsonObject) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(raw)
    return sorted((detail.path, detail.code) for detail in details_of(refusal.value))


def test_a_full_callback_is_read() -> None:
    told = JobStatus.model_validate(FULL)
    assert (told.status, told.progress, told.cost_usd_micros) == (JobState.TRANSCRIBING, 12.5, 250_000)
    assert told.checkpoint == {"segment": 3}
    assert told.artifacts is not None
    assert told.artifacts.transcript is not None
    assert told.artifacts.transcript[1].end_ms == 10


def test_a_checkpoint_is_text_or_an_object() -> None:
    assert JobStatus.model_validate({**LEAST, "checkpoint": "drafted"}).checkpoint == "drafted"
    assert wrong(JobStatus, {**LEAST, "checkpoint": 7}) == [("checkpoint", "string_type")]
    assert wrong(JobStatus, {**LEAST, "checkpoint": "x" * 16_384}) == [("checkpoint", "data_too_long")]


@pytest.mark.parametrize("status", JobState)
def test_any_state_of_the_machine_is_read_and_judged_later(status: JobState) -> None:
    assert JobStatus.model_validate({**LEAST, "status": str(status)}).status is status


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"status": "PAUSED"}, "status", "enum"),
        ({"sequence": 0}, "sequence", "greater_than_equal"),
        ({"sequence": "1"}, "sequence", "int_type"),
        ({"attempt": 0}, "attempt", "greater_than_equal"),
        ({"progress": 100.1}, "progress", "less_than_equal"),
        ({"progress": -1}, "progress", "greater_than_equal"),
        ({"cost_usd": 0.25}, "cost_usd", "string_type"),
        ({"event_id": "a b"}, "event_id", "string_pattern_mismatch"),
        ({"job_id": ".x"}, "job_id", "string_pattern_mismatch"),
        ({"surprise": 1}, "surprise", "extra_forbidden"),
        ({"artifacts": {"surprise": 1}}, "artifacts.surprise", "extra_forbidden"),
        ({"artifacts": {"video_url": "a b"}}, "artifacts.video_url", "string_pattern_mismatch"),
        (
            {"artifacts": {"storyboard": [{"scene": 0, "text": "", "duration_s": 1}]}},
            "artifacts.storyboard.0.scene",
            "greater_than_equal",
        ),
        ({"failure": {"code": "X", "message": "y"}}, "failure.retryable", "missing"),
    ],
)
def test_a_refusal_points_at_the_field(change: JsonObject, path: str, code: str) -> None:
    assert wrong(JobStatus, {**LEAST, **change}) == [(path, code)]


def test_rules_that_span_fields_are_told_with_their_place() -> None:
    made: JsonObject = {
        "transcript": [{"start_ms": 5, "end_ms": 4, "text": ""}],
        "storyboard": [{"scene": 1, "text": "", "duration_s": 1}, {"scene": 1, "text": "", "duration_s": 1}],
        "instruction": {"blocks": [{"block_id": "b", "type": "step", "text": ""}] * 2},
    }
    assert wrong(JobStatus, {**LEAST, "artifacts": made}) == [
        ("artifacts.instruction.blocks.1.block_id", "repeated"),
        ("artifacts.storyboard.1.scene", "repeated"),
        ("artifacts.transcript.0.end_ms", "end_before_start"),
    ]


@pytest.mark.parametrize(
    "made",
    [
        7,
        [],
        {"transcript": 7, "storyboard": "x", "instruction": []},
        {"transcript": [7, {"start_ms": "a", "end_ms": None}], "storyboard": [[]], "instruction": {"blocks": 1}},
        {"instruction": {"blocks": [{"block_id": {}}, {"block_id": [1]}, None]}},
    ],
)
def test_rules_bear_any_shape(made: JsonValue) -> None:
    assert wrong(JobStatus, {**LEAST, "artifacts": made})


def test_tasks_have_three_words() -> None:
    told = TaskStatus.model_validate({"event_id": "e1", "sequence": 1, "status": "RUNNING"})
    assert told.status is TaskState.RUNNING
    assert wrong(TaskStatus, {"event_id": "e1", "sequence": 1, "status": "REQUESTED"}) == [("status", "literal_error")]


@pytest.mark.parametrize(
    "callback",
    [
        JobStatus.model_validate(FULL),
        TaskStatus.model_validate({"event_id": "e1", "sequence": 1, "status": "FAILED", "task_id": "job-1"}),
        ItemResult.model_validate(
            {"event_id": "e1", "sentiment": {"label": "neutral", "score": 0.5}, "item_id": "job-1"}
        ),
        PublishResult.model_validate({"event_id": "e1", "outcome": "published", "post_id": "job-1"}),
    ],
)
def test_an_id_in_the_payload_is_the_one_in_the_subject(callback: Callback) -> None:
    assert on_its_subject(callback, "job-1") is None
    refusal = on_its_subject(callback, "job-2")
    assert refusal is not None
    [detail] = refusal.details
    assert (detail.path, refusal.status) == (f"payload.{callback.subject_field}", 400)
    assert on_its_subject(callback.model_copy(update={callback.subject_field: None}), "job-2") is None


CREATE: JsonObject = {"project_id": "p1", "title": "A title"}


def test_a_job_begins_with_an_upload_a_script_or_a_prompt() -> None:
    for start in ({}, {"script_id": "s1"}, {"prompt": "a story"}, {"script_id": None, "prompt": "a story"}):
        assert jobs.JobCreate.model_validate({**CREATE, **start}).title == "A title"
    assert wrong(jobs.JobCreate, {**CREATE, "script_id": "s1", "prompt": "p"}) == [("prompt", "script_or_prompt")]
    assert wrong(jobs.JobCreate, {**CREATE, "prompt": ""}) == [("prompt", "string_too_short")]
    assert wrong(jobs.JobCreate, {**CREATE, "title": "two\nlines"}) == [("title", "string_pattern_mismatch")]


@pytest.mark.parametrize("limit", [0, 501, "50", 1.5, True, None])
def test_a_limit_is_from_1_to_500(limit: JsonValue) -> None:
    assert [path for path, _ in wrong(jobs.JobHistory, {"job_id": "j1", "limit": limit})] == ["limit"]


def test_lists_have_50_things_unless_said() -> None:
    assert jobs.JobList.model_validate({"project_id": "p1", "status": "READY"}).limit == 50


def test_work_says_what_is_needed_and_until_when() -> None:
    order = work.JobProcess.model_validate(
        {
            "work_id": "w1",
            "attempt": 1,
            "deadline": "2026-11-20T10:15:30Z",
            "callback_subject": "hg.callback.job.j1",
            "job_id": "j1",
            "script": {"script_id": "s1", "title": "t", "body": "b", "duration_s": 3, "scenes": []},
            "checkpoint": "drafted",
        }
    )
    assert order.script is not None
    assert order.checkpoint == "drafted"
