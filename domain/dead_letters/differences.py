"""What an edited message changed, place by place."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from contracts.errors import JsonValue

MOST: Final = 100
"""Places that are told."""


class Change(NamedTuple):
    """One place that differs. ``kind`` is ``added``, ``removed`` or ``changed``."""

    path: str
    kind: str
    was: JsonValue = None
    now: JsonValue = None


def differences(was: JsonValue, now: JsonValue) -> list[Change]:
    """Where *now* differs from *was*, in the order of the places; the first :data:`MOST` of them."""
    found: list[Change] = []
    for change in _changes("", was, now):
        found.append(change)
        if len(found) == MOST:
            break
    return found


def _changes(path: str, was: JsonValue, now: JsonValue) -> Iterator[Change]:
    if isinstance(was, dict) and isinstance(now, dict):
        yield from _of_objects(path, was, now)
    elif isinstance(was, list) and isinstance(now, list):
        by_index = ({str(index): value for index, value in enumerate(each)} for each in (was, now))
        yield from _of_objects(path, *by_index)
    elif type(was) is not type(now) or was != now:
        yield Change(path, "changed", was, now)


def _of_objects(path: str, was: dict[str, JsonValue], now: dict[str, JsonValue]) -> Iterator[Change]:
    for name in dict.fromkeys([*was, *now]):
        place = f"{path}.{name}" if path else name
        if name not in now:
            yield Change(place, "removed", was=was[name])
        elif name not in was:
            yield Change(place, "added", now=now[name])
        else:
            yield from _changes(place, was[name], now[name])
