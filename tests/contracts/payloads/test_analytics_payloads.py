"""What is asked of usage is refused in the words of its fields."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.gate.problems import details_of
from contracts.payloads.commands.analytics import AnalyticsUsage, UsageKey

WINDOW = {"from": "2026-11-27T00:00:00Z", "to": "2026-11-29T00:00:00Z"}


@pytest.mark.parametrize(
    ("group_by", "details"),
    [
        ("week", [("payload.group_by", "enum")]),
        (7, [("payload.group_by", "enum")]),
        ([], [("payload.group_by", "too_short")]),
        (["day", "model", "agent"], [("payload.group_by", "too_long")]),
        (["day", "week"], [("payload.group_by.1", "enum")]),
        (["day", "day"], [("payload.group_by", "repeated")]),
    ],
    ids=str,
)
def test_a_wrong_grouping_is_refused_at_its_field_alone(group_by: Any, details: list[tuple[str, str]]) -> None:
    with pytest.raises(ValidationError) as refused:
        AnalyticsUsage.model_validate({**WINDOW, "group_by": group_by})

    assert [(each.path, each.code) for each in details_of(refused.value, ("payload",))] == details


def test_a_grouping_is_one_key_or_two() -> None:
    assert AnalyticsUsage.model_validate({**WINDOW, "group_by": "day"}).group_by is UsageKey.DAY
    both = AnalyticsUsage.model_validate({**WINDOW, "group_by": ["day", "model"]})
    assert both.group_by == [UsageKey.DAY, UsageKey.MODEL]
