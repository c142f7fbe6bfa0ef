"""Inputs of predictions: templates of the settings filled from work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import JsonObject, JsonValue
from domain.bridge.prediction_inputs import fill, urls_in, with_replaced

WORK: JsonObject = {
    "video_uri": "https://files.example/in.mp4",
    "objective": None,
    "seed": 7,
    "instruction": {"version": 2, "blocks": [{"text": "One"}, {"text": "Two"}]},
    "storyboard": [
        {"image_url": "https://files.example/1.png"},
        {"text": "no image"},
        {"image_url": "https://b/2.png"},
    ],
}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain words", "plain words"),
        (24, 24),
        (None, None),
        ([1, "a"], [1, "a"]),
        ("{video_uri}", "https://files.example/in.mp4"),
        ("{seed}", 7),
        ("{instruction.version}", 2),
        ("{instruction.blocks.1.text}", "Two"),
        ("{instruction.blocks.0}", {"text": "One"}),
        ("{instruction.blocks.*.text}", "One\nTwo"),
        ("Film this: {instruction.blocks.*.text}!", "Film this: One\nTwo!"),
        ("seed {seed}, goal {objective}", "seed 7, goal "),
        ("{{video_uri}} is {{}}", "{video_uri} is {}"),
        (["{storyboard.*.image_url}"], ["https://files.example/1.png", "https://b/2.png"]),
        (["first", "{absent}", "{seed}"], ["first", 7]),
        ({"deep": {"url": "{video_uri}", "gone": "{absent}"}}, {"deep": {"url": "https://files.example/in.mp4"}}),
    ],
)
def test_templates_are_filled_from_the_work(template: JsonValue, filled: JsonValue) -> None:
    assert fill({"input": template}, WORK) == {"input": filled}


@pytest.mark.parametrize(
    "template",
    ["{absent}", "{objective}", "{instruction.blocks.9.text}", "{seed.x}", "{video_uri.*}", "{storyboard.x}"],
)
def test_what_the_work_does_not_have_leaves_its_input_out(template: str) -> None:
    assert fill({"input": template, "fps": 24}, WORK) == {"fps": 24}


@given(st.text(alphabet=st.characters(exclude_characters="{}")))
def test_text_without_braces_stays_as_it_is(text: str) -> None:
    assert fill({"input": text}, WORK) == {"input": text}


def test_every_url_is_found_once_and_can_be_replaced() -> None:
    inputs: JsonObject = {"a": "https://x/1", "b": ["http://x/2", {"c": "https://x/1"}], "d": "no url", "e": 5}
    assert urls_in(inputs) == ["https://x/1", "http://x/2"]
    assert with_replaced(inputs, {"https://x/1": "https://y/1"}) == {
        "a": "https://y/1",
        "b": ["http://x/2", {"c": "https://y/1"}],
        "d": "no url",
        "e": 5,
    }
