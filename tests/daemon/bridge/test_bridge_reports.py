"""Outputs of models as callbacks, and the settings that a bridge starts with."""

from pathlib import Path
from typing import Any

import pytest

from contracts.errors import JsonValue
from contracts.values.work import WorkType
from daemon.bridge.plans import plans_of
from daemon.bridge.reports import REPORTS, OutputUnusableError
from daemon.errors import StartError
from daemon.settings.loading import load_settings
from tests.daemon.bridge.bridge_harness import MODEL, settings_text

RENDER, PROCESS = REPORTS[WorkType.JOB_RENDER], REPORTS[WorkType.JOB_PROCESS]
URL = "https://delivery.example/out.mp4"


@pytest.mark.parametrize(
    "output",
    [URL, [URL], ["frame", URL, "https://x/2.mp4"], {"video": URL}, {"thumb": "https://x/t.png", "output": [URL]}],
)
def test_a_video_is_found_in_whatever_form_a_model_answers(output: JsonValue) -> None:
    (ready,) = RENDER.finished(output)
    assert ready == {"status": "READY", "progress": 100, "artifacts": {"video_url": URL}}


@pytest.mark.parametrize("output", [None, "", "file:///etc/passwd", [], {}, 5, ["a", {"b": None}], "https://x/\n"])
def test_an_output_without_a_url_is_no_video(output: JsonValue) -> None:
    with pytest.raises(OutputUnusableError):
        RENDER.finished(output)


@pytest.mark.parametrize("output", ["One\n\nTwo\n", ["One", "\nTw", "o"], {"text": "One\nTwo"}])
def test_text_becomes_a_draft_with_a_paragraph_for_each_line(output: JsonValue) -> None:
    drafting, approval = PROCESS.finished(output)
    assert drafting == {"status": "DRAFTING"}
    assert approval["artifacts"] == {
        "instruction": {
            "blocks": [
                {"block_id": "b1", "type": "paragraph", "text": "One"},
                {"block_id": "b2", "type": "paragraph", "text": "Two"},
            ]
        }
    }


def test_a_model_that_speaks_the_contract_is_passed_on_as_it_is() -> None:
    transcript: list[JsonValue] = [{"start_ms": 0, "end_ms": 5, "text": "Hi"}]
    storyboard: list[JsonValue] = [{"scene": 1, "text": "A door", "duration_s": 2}]
    blocks: list[JsonValue] = [{"block_id": "x", "type": "step", "text": "Open it"}]
    output: JsonValue = {"transcript": transcript, "storyboard": storyboard, "instruction": {"blocks": blocks}}
    drafting, approval = PROCESS.finished(output)
    assert drafting["artifacts"] == {"transcript": transcript, "storyboard": storyboard}
    assert approval["artifacts"] == {"instruction": {"blocks": blocks}}


@pytest.mark.parametrize("output", [None, "", "  \n ", {}, {"segments": []}, {"segments": [{"text": "no time"}]}, 7])
def test_an_output_without_text_is_no_draft(output: JsonValue) -> None:
    with pytest.raises(OutputUnusableError):
        PROCESS.finished(output)


@pytest.mark.parametrize(
    ("standing", "told"), [(None, "TRANSCRIBING"), ("QUEUED", "TRANSCRIBING"), ("DRAFTING", "DRAFTING")]
)
def test_progress_names_the_state_that_the_job_has_reached(standing: str | None, told: str) -> None:
    assert PROCESS.progress(5, standing) == {"status": told, "progress": 5}


def plans(folder: Path, **parts: str) -> Any:
    file = folder / "config.toml"
    file.write_text(settings_text("nats://127.0.0.1:1", "http://127.0.0.1:2", **parts))
    return plans_of(load_settings(file, {}))


def test_a_plan_holds_model_limit_retries_and_prices(tmp_path: Path) -> None:
    plan = plans(tmp_path, model=MODEL + 'usd_per_run = "0.5"\n')[WorkType.JOB_RENDER]
    assert (plan.model, plan.limit_s, plan.retries) == ("acme/video", 600.0, 2)
    assert (plan.per_second_usd_micros, plan.per_run_usd_micros) == (10_000, 500_000)


def test_images_have_the_shorter_limit(tmp_path: Path) -> None:
    plan = plans(tmp_path, model='model = "acme/picture"\nmedia = "image"')[WorkType.JOB_RENDER]
    assert plan.limit_s == 120.0
    assert (plan.per_second_usd_micros, plan.per_run_usd_micros) == (None, None)


def test_work_that_no_prediction_can_do_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"bridge\.replicate\.work: publish is nothing that a bridge can do"):
        plans(tmp_path, work="publish")


def test_a_bridge_without_work_and_token_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("")
    with pytest.raises(StartError) as caught:
        plans_of(load_settings(file, {}))
    assert [line.partition(":")[0] for line in caught.value.lines] == [
        "bridge.replicate.work",
        "bridge.replicate.token",
    ]
