"""``exports``."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import Connection, Row, Select, bindparam, literal_column, select

from contracts.errors import JsonObject
from contracts.values.states import ExportState
from domain.documents.exports import Export, ExportFormat
from storage.engine.batches import BatchRows, Scalar, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failure_text import failure_text, read_failure
from storage.tables.documents import exports


class ExportRepository(Protocol):
    """Exports."""

    def get(self, export_id: str, *, owner: str) -> Export | None:
        """One export among its owner's, to look at."""
        ...

    def by_id(self, export_id: str) -> Export | None:
        """One export whoever owns it, to look at."""
        ...

    def locked(self, export_id: str) -> Export | None:
        """One export whoever owns it, locked until the transaction ends."""
        ...

    def known(self, identities: Sequence[str]) -> Mapping[str, Export]:
        """Those of *identities* that were asked for before, locked."""
        ...

    def at_work(self, *, limit: int) -> Sequence[str]:
        """The ids of exports that wait or run, those that have stood still longest first."""
        ...

    def upsert(self, exports: Sequence[Export]) -> None:
        """Keep new exports and changed ones."""
        ...


class SqlExportRepository:
    """Maps rows to exports."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def get(self, export_id: str, *, owner: str) -> Export | None:
        found = self.by_id(export_id)
        return found if found is not None and found.owner == owner else None

    def by_id(self, export_id: str) -> Export | None:
        row = self._connection.execute(_GET, {"export_id": export_id}).one_or_none()
        return None if row is None else _export(row)

    def locked(self, export_id: str) -> Export | None:
        wanted = as_parameter([(export_id,)])
        row = self._connection.execute(_locked(self._dialect, "export_id"), wanted).one_or_none()
        return None if row is None else _export(row)

    def known(self, identities: Sequence[str]) -> Mapping[str, Export]:
        if not identities:
            return {}
        wanted = as_parameter([(identity,) for identity in identities])
        rows = self._connection.execute(_locked(self._dialect, "identity"), wanted)
        return {row.identity: _export(row) for row in rows}

    def at_work(self, *, limit: int) -> Sequence[str]:
        return list(self._connection.execute(_AT_WORK, {"limit": limit}).scalars())

    def upsert(self, exports: Sequence[Export]) -> None:
        if exports:
            rows = [_as_row(export) for export in sorted(exports, key=lambda export: export.export_id)]
            execute_change(self._connection, _put(self._dialect), as_parameter(rows))


_NEVER_CHANGING: Final = (
    "export_id", "job_id", "owner", "format", "options", "identity", "pinned", "trace_id", "created_at",
)  # fmt: skip
_CHANGING: Final = (
    "status", "version", "attempt", "provenance", "object", "size", "sha256", "error", "updated_at",
)  # fmt: skip
_NAMES: Final = (*_NEVER_CHANGING, *_CHANGING)
_ALL: Final = tuple(exports.c[name] for name in _NAMES)
_GET: Final = select(*_ALL).where(exports.c.export_id == bindparam("export_id"))
# Spelt as the partial index has it: only so can the planner see that it serves.
_AT_WORK: Final = (
    select(exports.c.export_id)
    .where(exports.c.status.in_((literal_column("'REQUESTED'"), literal_column("'RUNNING'"))))
    .order_by(exports.c.updated_at)
    .limit(bindparam("limit"))
)


def _as_row(export: Export) -> tuple[Scalar, ...]:
    provenance = None if export.provenance is None else _json(export.provenance)
    return (
        export.export_id, export.job_id, export.owner, export.format, _json(export.options), export.identity,
        _json(export.pinned), export.trace_id, export.created_at, export.status, export.version, export.attempt,
        provenance, export.object, export.size, export.sha256, failure_text(export.error), export.updated_at,
    )  # fmt: skip


def _json(value: JsonObject) -> str:
    return orjson.dumps(value).decode()


def _export(row: Row[*tuple[Any, ...]]) -> Export:
    return Export(
        export_id=row.export_id,
        job_id=row.job_id,
        owner=row.owner,
        format=ExportFormat(row.format),
        options=orjson.loads(row.options),
        identity=row.identity,
        status=ExportState(row.status),
        version=row.version,
        pinned=orjson.loads(row.pinned),
        trace_id=row.trace_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        attempt=row.attempt,
        provenance=None if row.provenance is None else orjson.loads(row.provenance),
        object=row.object,
        size=row.size,
        sha256=row.sha256,
        error=read_failure(row.error),
    )


@cache
def _locked(dialect: str, key: str) -> Select[*tuple[Any, ...]]:
    batch = BatchRows(dialect, exports, (key,))
    found = select(*_ALL).select_from(batch.source.join(exports, batch.same)).order_by(exports.c.export_id)
    return found.with_for_update(of=exports)


@cache
def _put(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, exports, _NAMES)
    return statement.on_conflict_do_update(
        index_elements=["export_id"], set_={name: statement.excluded[name] for name in _CHANGING}
    )
