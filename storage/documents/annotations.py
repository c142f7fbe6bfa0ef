"""``annotations``."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

import orjson
from sqlalchemy import Connection, Row, bindparam, select

from contracts.errors import JsonValue
from storage.engine.batches import Scalar, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.documents import annotations


class Annotation(NamedTuple):
    """What was drawn on a picture of an anchor, and the picture that came of it. ``ops`` as messages have them."""

    annotation_id: str
    anchor_id: str
    source_asset_id: str
    ops_hash: str
    ops: JsonValue
    asset_id: str
    sha256: str
    owner: str
    created_at: int


class AnnotationRepository(Protocol):
    """Annotations."""

    def find(self, anchor_id: str, source_asset_id: str, ops_hash: str) -> Annotation | None:
        """The one that was made by the same operations."""
        ...

    def add(self, annotations: Sequence[Annotation]) -> None: ...


class SqlAnnotationRepository:
    """Maps rows to annotations."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def find(self, anchor_id: str, source_asset_id: str, ops_hash: str) -> Annotation | None:
        wanted = {"anchor_id": anchor_id, "source_asset_id": source_asset_id, "ops_hash": ops_hash}
        row = self._connection.execute(_FIND, wanted).one_or_none()
        return None if row is None else _annotation(row)

    def add(self, annotations: Sequence[Annotation]) -> None:
        if annotations:
            execute_change(self._connection, _add(self._dialect), as_parameter([_as_row(each) for each in annotations]))


_ALL: Final = tuple(annotations.c[name] for name in Annotation._fields)
_FIND: Final = select(*_ALL).where(
    annotations.c.anchor_id == bindparam("anchor_id"),
    annotations.c.source_asset_id == bindparam("source_asset_id"),
    annotations.c.ops_hash == bindparam("ops_hash"),
)


def _annotation(row: Row[*tuple[Any, ...]]) -> Annotation:
    return Annotation(**{**row._asdict(), "ops": orjson.loads(row.ops)})


def _as_row(annotation: Annotation) -> tuple[Scalar, ...]:
    return (*annotation[:4], orjson.dumps(annotation.ops).decode(), *annotation[5:])


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, annotations, Annotation._fields)
