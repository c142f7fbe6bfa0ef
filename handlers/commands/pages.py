"""Lists in parts: opaque cursors, and pages that end early where the reply would become too large.

A cursor names the last thing of its page by what the list is ordered by, so that what is added or removed meanwhile
neither repeats nor skips anything else.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import orjson

from contracts.errors import JsonObject, JsonValue, Problem, Refusal, invalid_field
from handlers.effects import Context

T = TypeVar("T")
Mark = TypeVar("Mark", bound=tuple[str | int, ...])


def cursor(kind: str, *mark: str | int) -> str:
    """Where a page of the list *kind* ended."""
    return urlsafe_b64encode(orjson.dumps([kind, *mark])).rstrip(b"=").decode()


def read_cursor(kind: str, given: str | None, *types: type[str] | type[int]) -> tuple[str | int, ...] | None:
    """What :func:`cursor` was made of; None where none was given.

    Raises :class:`Refusal` for one that was not made for this list.
    """
    if given is None:
        return None
    try:
        mark = orjson.loads(urlsafe_b64decode(given.rstrip("=") + "=" * (-len(given.rstrip("=")) % 4)))
    except (binascii.Error, ValueError):
        raise Refusal(BAD_CURSOR) from None
    if not isinstance(mark, list) or [type(part) for part in mark] != [str, *types] or mark[0] != kind:
        raise Refusal(BAD_CURSOR)
    if not all(map(_can_be_looked_for, mark)):
        raise Refusal(BAD_CURSOR)
    return tuple(mark[1:])


def read_place(kind: str, given: str | None) -> int:
    """How much of a counted list came before, by a cursor of that one number; 0 where none was given.

    Raises as :func:`read_cursor` does.
    """
    mark = read_cursor(kind, given, int)
    place = 0 if mark is None else int(mark[0])
    if not 0 <= place < _MOST_PLACES:
        raise Refusal(BAD_CURSOR)
    return place


def _can_be_looked_for(part: str | int) -> bool:
    """Whether a database bears the part: no list gave one that it does not."""
    return "\0" not in part if isinstance(part, str) else _LEAST <= part <= _GREATEST


def page(
    rows: Sequence[T],
    limit: int,
    view: Callable[[T], JsonObject],
    mark: Callable[[T], str],
    context: Context,
) -> JsonObject:
    """The answer of a list. *rows* are up to one more than *limit*: the one beyond it says that there is more."""
    room = context.max_message_bytes // 2
    items: list[JsonObject] = []
    for row in rows[:limit]:
        item = view(row)
        size = len(orjson.dumps(item)) + 1
        if size > room and not items:
            items.append(shortened(item, room))
            break
        if size > room:
            break
        room -= size
        items.append(item)
    more = len(items) < len(rows)
    return {"items": [*items], "next_cursor": mark(rows[len(items) - 1]) if more else None}


def shortened(item: JsonObject, room: int) -> JsonObject:
    """One item that is too large even alone: its largest parts are cut, and it says so. What is small (who it is, how
    it stands) stays whole."""
    cut: JsonObject = {**item, "truncated": True}
    while (over := len(orjson.dumps(cut)) - room) > 0:
        sizes = {name: len(orjson.dumps(value)) for name, value in cut.items() if name != "truncated"}
        largest = max(sizes, key=lambda name: sizes[name], default=None)
        if largest is None or sizes[largest] <= _NEVER_CUT:
            break
        cut[largest] = _part(cut[largest], max(_NEVER_CUT // 2, sizes[largest] - over))
        if len(orjson.dumps(cut[largest])) >= sizes[largest]:
            cut[largest] = None
    return cut


def _part(value: JsonValue, room: int) -> JsonValue:
    """The beginning of a value, in about *room* bytes; an object keeps its small parts."""
    if isinstance(value, str):
        # In proportion, for characters are of different sizes; at least one less each time.
        return value[: max(0, min(len(value) - 1, len(value) * room // len(orjson.dumps(value))))]
    if isinstance(value, list):
        return value[: _fitting([len(orjson.dumps(each)) + 1 for each in value], room)]
    if isinstance(value, dict):
        cut = shortened(value, room)
        sizes = [len(orjson.dumps({name: each})) for name, each in cut.items()]
        return dict(list(cut.items())[: _fitting(sizes, max(room, _NEVER_CUT))])
    return None


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first fit into *room* together."""
    for count, size in enumerate(sizes):
        room -= size
        if room < 0:
            return count
    return len(sizes)


_NEVER_CUT: Final = 256
"""Bytes that a part may have in any case."""
_MOST_PLACES: Final = 2**31 - 1
_LEAST: Final = -(2**63)
_GREATEST: Final = 2**63 - 1
BAD_CURSOR: Final[Problem] = invalid_field("payload.cursor", "cursor", "Cursor should be one that this list gave")
