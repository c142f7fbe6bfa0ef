"""What anchors are asked, and where a refusal points."""

import pytest
from pydantic import ValidationError

from contracts.errors import JsonObject, JsonValue
from contracts.gate.problems import details_of
from contracts.payloads.base import Payload
from contracts.payloads.commands.anchors import AnchorAnnotate, AnchorCreate, AnchorReplace

BOX: JsonObject = {"type": "box", "x": 1, "y": 1, "width": 5, "height": 5, "color": "#ff0000"}


def wrong(model: type[Payload], raw: JsonObject) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(raw)
    return sorted((detail.path, detail.code, detail.message) for detail in details_of(refusal.value))


@pytest.mark.parametrize(
    ("operation", "path", "code"),
    [
        ({**BOX, "color": "red"}, "ops.1.color", "string_pattern_mismatch"),
        ({**BOX, "colour": "#ff0000"}, "ops.1.colour", "extra_forbidden"),
        ({name: part for name, part in BOX.items() if name != "width"}, "ops.1.width", "missing"),
        ({**BOX, "type": "circle"}, "ops.1.type", "enum"),
        ({name: part for name, part in BOX.items() if name != "type"}, "ops.1.type", "missing"),
        ("a box", "ops.1", "model_type"),
    ],
)
def test_a_wrong_operation_is_named_by_its_place_in_the_document(operation: JsonValue, path: str, code: str) -> None:
    told = wrong(AnchorAnnotate, {"anchor_id": "a", "asset_id": "b", "ops": [BOX, operation]})
    assert [(where, rule) for where, rule, _ in told] == [(path, code)]
    assert "circle" not in told[0][2]


def test_a_rule_across_fields_says_what_to_give() -> None:
    (address,) = wrong(AnchorCreate, {"instruction_id": "i", "version": 1})
    assert address == ("block_id", "block_or_range", "Either block_id or char_range should be given, not both")
    (picture,) = wrong(AnchorReplace, {"anchor_id": "a", "asset_id": "b", "timestamp_ms": 1})
    assert picture == ("asset_id", "asset_or_timestamp", "Either asset_id or timestamp_ms should be given, not both")
