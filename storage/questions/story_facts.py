"""What is known of one thing, read from the rows of every family: the material of ``explain``.

A source answers facts in the order of (moment, source, place within it), from a mark on, and at most so many: so that a
story of a million rows is read page by page with the same few statements.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

import orjson
from sqlalchemy import BindParameter, Connection, Row, Select, and_, bindparam, or_

from contracts.errors import JsonObject, JsonValue
from storage.questions.story_sources import DETAIL, KEY, SOURCES


class StoryMark(NamedTuple):
    """Where a page of a story ended."""

    at: int
    rank: int
    place: str


class StoryFact(NamedTuple):
    """One thing that happened, as a row says it. ``at`` is microseconds since the epoch; ``rank`` puts cause before
    effect at one instant, ``place`` orders the facts of one rank."""

    at: int
    rank: int
    place: str
    what: str
    id: str | None
    from_: str | None
    to: str | None
    by: str | None
    details: JsonObject

    @property
    def mark(self) -> StoryMark:
        return StoryMark(self.at, self.rank, self.place)


class StoryKey(NamedTuple):
    """What a source is asked: its name, the value it is asked by, and the kind where that is a message's id."""

    source: str
    value: str
    kind: str | None = None


class StoryRepository(Protocol):
    """The facts of stories."""

    def facts(self, key: StoryKey, *, after: StoryMark | None, limit: int) -> Sequence[StoryFact]:
        """The first *limit* facts of one source after a mark, in their order."""
        ...


class SqlStoryRepository:
    """Reads all tables and writes none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def facts(self, key: StoryKey, *, after: StoryMark | None, limit: int) -> Sequence[StoryFact]:
        rank = SOURCES[key.source].rank
        parameters: dict[str, object] = {KEY: key.value, "limit": limit}
        if key.kind is not None:
            parameters["kind"] = key.kind
        if after is not None:
            parameters |= (
                {"after_at": after.at}
                if rank != after.rank
                else {
                    "after_at": after.at,
                    "after_place": after.place,
                }
            )
        statement = _statement(key.source, _position(rank, after))
        return [_fact(rank, row) for row in self._connection.execute(statement, parameters)]


def _position(rank: int, after: StoryMark | None) -> str:
    """How a source continues after a mark of another rank or of its own."""
    if after is None:
        return "start"
    if rank == after.rank:
        return "within"
    return "at" if rank > after.rank else "past"


@cache
def _statement(name: str, position: str) -> Select[*tuple[Any, ...]]:
    source = SOURCES[name]
    statement = source.statement.where(source.key == bindparam(KEY))
    if source.kind is not None:
        statement = statement.where(source.kind == bindparam("kind"))
    at = source.at
    after: BindParameter[int] = bindparam("after_at")
    if position == "within":
        statement = statement.where(or_(at > after, and_(at == after, source.place > bindparam("after_place"))))
    elif position != "start":
        statement = statement.where(at >= after if position == "at" else at > after)
    return statement.order_by(at, source.place).limit(bindparam("limit"))


def _fact(rank: int, row: Row[*tuple[Any, ...]]) -> StoryFact:
    values = row._mapping  # noqa: SLF001 - the library's public name for it

    def text(name: str) -> str | None:
        value = values.get(name)
        return None if value is None else str(value)

    details: JsonObject = {}
    for name, value in values.items():
        if name.startswith(DETAIL) and value is not None:
            details[name.removeprefix(DETAIL)] = _read(name.removeprefix(DETAIL), value)
    if isinstance(problem := details.get("problem"), dict):
        details |= {"code": problem.get("code"), "paths": _paths(problem.get("details"))}
    return StoryFact(
        values["at"], rank, values["place"], values["what"], text("id"), text("from"), text("to"), text("by"), details
    )


def _paths(found: JsonValue) -> JsonValue:
    """The fields that a problem names, each once, in its order."""
    named = [str(each.get("path")) for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [*dict.fromkeys(named)]


def _read(name: str, value: JsonValue) -> JsonValue:
    if name in _JSON and isinstance(value, str):
        read: JsonValue = orjson.loads(value)
        return read
    if name == "paths" and isinstance(value, str):
        return [*value.split(",")] if value else []
    return value


_JSON: Final = frozenset({"parameters", "error", "problem", "more"})
"""Details that are stored as JSON text."""
