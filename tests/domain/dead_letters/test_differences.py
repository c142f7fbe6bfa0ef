"""What an edited message changed is told place by place."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import JsonValue
from domain.dead_letters.differences import MOST, Change, differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


def test_values_are_told_where_they_were_added_removed_and_changed() -> None:
    was: JsonValue = {"a": 1, "b": {"c": [1, 2]}, "gone": None}
    now: JsonValue = {"a": "1", "b": {"c": [1, 3, 4]}, "new": {"x": 1}}

    assert differences(was, now) == [
        Change("a", "changed", 1, "1"),
        Change("b.c.1", "changed", 2, 3),
        Change("b.c.2", "added", now=4),
        Change("gone", "removed", was=None),
        Change("new", "added", now={"x": 1}),
    ]


def test_what_equals_another_type_is_a_change() -> None:
    assert [change.path for change in differences({"a": 1, "b": True}, {"a": True, "b": 1})] == ["a", "b"]
    assert differences(1, 1.0) == [Change("", "changed", 1, 1.0)]


def test_only_so_many_places_are_told() -> None:
    assert len(differences({}, {str(number): 1 for number in range(MOST + 50)})) == MOST


@given(JSON)
def test_what_is_the_same_has_no_differences(value: JsonValue) -> None:
    assert differences(value, value) == []


@given(JSON, JSON)
def test_what_is_not_the_same_has_some(was: JsonValue, now: JsonValue) -> None:
    assert bool(differences(was, now)) == (repr(was) != repr(now) and _same_shape_differs(was, now))


def _same_shape_differs(was: JsonValue, now: JsonValue) -> bool:
    if isinstance(was, dict) and isinstance(now, dict):
        return was.keys() != now.keys() or any(_same_shape_differs(was[key], now[key]) for key in was)
    if isinstance(was, list) and isinstance(now, list):
        return len(was) != len(now) or any(map(_same_shape_differs, was, now))
    return type(was) is not type(now) or was != now
