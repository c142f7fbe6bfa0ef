"""Ideas and scripts: of each the newest message."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, Select, Table, bindparam, select

from storage.content.pages import Mark, Period, page_of
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.content import ideas, scripts


class Idea(NamedTuple):
    """An idea as its newest message has it. Times are microseconds since the epoch; ``received_at`` is the first's."""

    idea_id: str
    topic: str
    objective: str
    hook: str
    format: str
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int


class Script(NamedTuple):
    """A script as its newest message has it, ``scenes`` as JSON text. Its idea may still be unknown."""

    script_id: str
    idea_id: str
    title: str
    body: str
    duration_s: int
    scenes: str
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int


class ScriptTitle(NamedTuple):
    """A script in short."""

    script_id: str
    title: str
    created_at: int


class IdeaRepository(Protocol):
    """Ideas."""

    def upsert(self, ideas: Sequence[Idea]) -> None:
        """Keep those that are new or newer than what is stored. There is one of each id among *ideas*."""
        ...

    def get(self, idea_id: str) -> Idea | None: ...

    def page(self, within: Period, *, before: Mark | None, limit: int) -> Sequence[Idea]:
        """Newest first, from the one after *before* on."""
        ...


class ScriptRepository(Protocol):
    """Scripts of ideas."""

    def upsert(self, scripts: Sequence[Script]) -> None:
        """Keep those that are new or newer than what is stored. There is one of each id among *scripts*."""
        ...

    def get_many(self, script_ids: Sequence[str]) -> Mapping[str, Script]:
        """Those of *script_ids* that are there."""
        ...

    def newest_of_idea(self, idea_id: str, *, limit: int) -> Sequence[ScriptTitle]:
        """The scripts of an idea, newest first."""
        ...

    def page(self, within: Period, *, before: Mark | None, limit: int) -> Sequence[Script]:
        """Newest first, from the one after *before* on."""
        ...


class SqlIdeaRepository:
    """The ``ideas`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def upsert(self, ideas: Sequence[Idea]) -> None:
        if ideas:
            execute_change(self._connection, _put_ideas(self._dialect), as_parameter(sorted(ideas)))

    def get(self, idea_id: str) -> Idea | None:
        row = self._connection.execute(_IDEA, {"idea_id": idea_id}).one_or_none()
        return None if row is None else Idea(*row)

    def page(self, within: Period, *, before: Mark | None, limit: int) -> Sequence[Idea]:
        rows = self._connection.execute(
            page_of(ideas, Idea._fields, ideas.c.created_at, within, before=before, limit=limit)
        )
        return [Idea(*row) for row in rows]


class SqlScriptRepository:
    """The ``scripts`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def upsert(self, scripts: Sequence[Script]) -> None:
        if scripts:
            execute_change(self._connection, _put_scripts(self._dialect), as_parameter(sorted(scripts)))

    def get_many(self, script_ids: Sequence[str]) -> Mapping[str, Script]:
        if not script_ids:
            return {}
        asked = as_parameter([(script_id,) for script_id in script_ids])
        return {row.script_id: Script(*row) for row in self._connection.execute(_of(self._dialect), asked)}

    def newest_of_idea(self, idea_id: str, *, limit: int) -> Sequence[ScriptTitle]:
        rows = self._connection.execute(_OF_IDEA, {"idea_id": idea_id, "limit": limit})
        return [ScriptTitle(*row) for row in rows]

    def page(self, within: Period, *, before: Mark | None, limit: int) -> Sequence[Script]:
        rows = self._connection.execute(
            page_of(scripts, Script._fields, scripts.c.created_at, within, before=before, limit=limit)
        )
        return [Script(*row) for row in rows]


_IDEA: Final[Select[*tuple[Any, ...]]] = select(*(ideas.c[name] for name in Idea._fields)).where(
    ideas.c.idea_id == bindparam("idea_id")
)
_OF_IDEA: Final[Select[*tuple[Any, ...]]] = (
    select(*(scripts.c[name] for name in ScriptTitle._fields))
    .where(scripts.c.idea_id == bindparam("idea_id"))
    .order_by(scripts.c.created_at.desc(), scripts.c.script_id.desc())
    .limit(bindparam("limit"))
)


@cache
def _put_ideas(dialect: str) -> UpsertInsert:
    return _put(dialect, ideas, Idea._fields)


@cache
def _put_scripts(dialect: str) -> UpsertInsert:
    return _put(dialect, scripts, Script._fields)


def _put(dialect: str, table: Table, names: Sequence[str]) -> UpsertInsert:
    """A newer message replaces all that an older one said; when the first one came stays."""
    statement = insert_rows(dialect, table, names)
    key, *said = (name for name in names if name != "received_at")
    return statement.on_conflict_do_update(
        index_elements=[key],
        set_={name: statement.excluded[name] for name in said},
        where=statement.excluded.created_at > table.c.created_at,
    )


@cache
def _of(dialect: str) -> Select[*tuple[Any, ...]]:
    these = BatchRows(dialect, scripts, ("script_id",)).contains
    return select(*(scripts.c[name] for name in Script._fields)).where(these)
