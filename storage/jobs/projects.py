"""Projects: what jobs belong to, and who owns both."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from sqlalchemy import Connection, Select, bindparam, select

from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.jobs import projects

Owned: TypeAlias = tuple[str, str]
"""(id, owner): a thing among its owner's."""


class Project(NamedTuple):
    """A project. ``created_at`` is microseconds since the epoch."""

    project_id: str
    owner: str
    name: str
    created_at: int


class ProjectRepository(Protocol):
    """Projects, always looked for among their owner's."""

    def add(self, projects: Sequence[Project]) -> None: ...

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Project]:
        """Those of *wanted* that are there and belong to the owner named with them."""
        ...

    def page(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        """The owner's projects, newest first, from the one after the id *before* on."""
        ...


class SqlProjectRepository:
    """``projects``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, projects: Sequence[Project]) -> None:
        if projects:
            execute_change(self._connection, _add(self._dialect), as_parameter(projects))

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Project]:
        if not wanted:
            return {}
        rows = self._connection.execute(_owned(self._dialect), as_parameter(wanted))
        return {row.project_id: Project(*row) for row in rows}

    def page(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        wanted = {"owner": owner, "before": before, "limit": limit}
        return [Project(*row) for row in self._connection.execute(_page(before is not None), wanted)]


_ALL: Final = tuple(projects.c[name] for name in Project._fields)


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, projects, Project._fields)


@cache
def _owned(dialect: str) -> Select[*tuple[Any, ...]]:
    batch = BatchRows(dialect, projects, ("project_id", "owner"))
    return select(*_ALL).select_from(batch.source.join(projects, batch.same))


@cache
def _page(has_before: bool) -> Select[*tuple[Any, ...]]:
    statement = select(*_ALL).where(projects.c.owner == bindparam("owner"))
    if has_before:
        statement = statement.where(projects.c.project_id < bindparam("before"))
    return statement.order_by(projects.c.project_id.desc()).limit(bindparam("limit"))
