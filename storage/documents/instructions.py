"""Instructions: documents whose versions never change."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

import orjson
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, bindparam, select

from contracts.errors import JsonObject
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.upserts import larger
from storage.jobs.projects import Owned
from storage.tables.jobs import instruction_versions, instructions


class VersionKey(NamedTuple):
    """One version of an instruction."""

    instruction_id: str
    version: int


class InstructionVersion(Struct, frozen=True):
    """An immutable version of an instruction. ``blocks`` and ``issues`` as messages have them."""

    instruction_id: str
    version: int
    job_id: str
    owner: str
    blocks: Sequence[JsonObject]
    validation_status: str
    issues: Sequence[JsonObject]
    created_by: str
    created_at: int
    provenance: JsonObject | None = None

    @property
    def key(self) -> VersionKey:
        return VersionKey(self.instruction_id, self.version)


class InstructionHead(NamedTuple):
    """An instruction without its versions; ``latest_version`` is the newest of them."""

    instruction_id: str
    job_id: str
    owner: str
    latest_version: int


class VersionSummary(NamedTuple):
    """A version without its blocks."""

    version: int
    validation_status: str
    created_by: str
    created_at: int
    provenance: JsonObject | None


class InstructionRepository(Protocol):
    """Instructions by version."""

    def heads(self, wanted: Sequence[Owned]) -> Mapping[str, InstructionHead]:
        """Those of *wanted* that belong to the owner named with them."""
        ...

    def latest(self, instruction_ids: Sequence[str]) -> Mapping[str, InstructionHead]:
        """Instructions of all owners. A writer of versions holds the lock of the job."""
        ...

    def versions(self, wanted: Sequence[VersionKey]) -> Mapping[VersionKey, InstructionVersion]:
        """Those of *wanted* that there are."""
        ...

    def history(self, instruction_id: str, *, limit: int) -> Sequence[VersionSummary]:
        """The newest versions, newest first."""
        ...

    def add(self, versions: Sequence[InstructionVersion]) -> None:
        """Keep new versions; an instruction that was not there before begins with its first."""
        ...


class SqlInstructionRepository:
    """``instructions`` and ``instruction_versions``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def heads(self, wanted: Sequence[Owned]) -> Mapping[str, InstructionHead]:
        return self._heads(("instruction_id", "owner"), wanted)

    def latest(self, instruction_ids: Sequence[str]) -> Mapping[str, InstructionHead]:
        return self._heads(("instruction_id",), [(each,) for each in instruction_ids])

    def _heads(self, names: tuple[str, ...], wanted: Sequence[tuple[str, ...]]) -> Mapping[str, InstructionHead]:
        if not wanted:
            return {}
        rows = self._connection.execute(_heads(self._dialect, names), as_parameter(wanted))
        return {row.instruction_id: InstructionHead(*row) for row in rows}

    def history(self, instruction_id: str, *, limit: int) -> Sequence[VersionSummary]:
        rows = self._connection.execute(_HISTORY, {"instruction_id": instruction_id, "limit": limit})
        return [
            VersionSummary(
                row.version,
                row.validation_status,
                row.created_by,
                row.created_at,
                None if row.provenance is None else orjson.loads(row.provenance),
            )
            for row in rows
        ]

    def versions(self, wanted: Sequence[VersionKey]) -> Mapping[VersionKey, InstructionVersion]:
        if not wanted:
            return {}
        rows = self._connection.execute(_versions(self._dialect), as_parameter(wanted))
        found = [_version(row) for row in rows]
        return {version.key: version for version in found}

    def add(self, versions: Sequence[InstructionVersion]) -> None:
        if not versions:
            return
        newest = {each.instruction_id: each for each in sorted(versions, key=lambda each: each.key)}
        heads = [
            (each.instruction_id, each.job_id, each.owner, each.version, each.created_at) for each in newest.values()
        ]
        execute_change(self._connection, _put_heads(self._dialect), as_parameter(heads))
        execute_change(self._connection, _add(self._dialect), as_parameter([_as_row(version) for version in versions]))


_HEAD_COLUMNS: Final = ("instruction_id", "job_id", "owner", "latest_version", "created_at")
_VERSION_COLUMNS: Final = (
    *VersionKey._fields, "validation_status", "created_by", "created_at", "issues", "provenance", "blocks",
)  # fmt: skip


def _as_row(version: InstructionVersion) -> tuple[str | int | None, ...]:
    return (
        version.instruction_id,
        version.version,
        version.validation_status,
        version.created_by,
        version.created_at,
        orjson.dumps(list(version.issues)).decode(),
        None if version.provenance is None else orjson.dumps(version.provenance).decode(),
        orjson.dumps(list(version.blocks)).decode(),
    )


def _version(row: Row[*tuple[Any, ...]]) -> InstructionVersion:
    return InstructionVersion(
        instruction_id=row.instruction_id,
        version=row.version,
        job_id=row.job_id,
        owner=row.owner,
        blocks=orjson.loads(row.blocks),
        validation_status=row.validation_status,
        issues=orjson.loads(row.issues),
        created_by=row.created_by,
        created_at=row.created_at,
        provenance=None if row.provenance is None else orjson.loads(row.provenance),
    )


_HISTORY: Final = (
    select(*(instruction_versions.c[name] for name in VersionSummary._fields))
    .where(instruction_versions.c.instruction_id == bindparam("instruction_id"))
    .order_by(instruction_versions.c.version.desc())
    .limit(bindparam("limit"))
)


@cache
def _heads(dialect: str, names: tuple[str, ...]) -> Select[*tuple[Any, ...]]:
    return select(*(instructions.c[name] for name in InstructionHead._fields)).where(
        BatchRows(dialect, instructions, names).contains
    )


@cache
def _versions(dialect: str) -> Select[*tuple[Any, ...]]:
    batch = BatchRows(dialect, instruction_versions, VersionKey._fields)
    return select(
        *(instruction_versions.c[name] for name in _VERSION_COLUMNS), instructions.c.job_id, instructions.c.owner
    ).select_from(
        batch.source.join(instruction_versions, batch.same).join(
            instructions, instructions.c.instruction_id == instruction_versions.c.instruction_id
        )
    )


@cache
def _put_heads(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, instructions, _HEAD_COLUMNS)
    newest = larger(instructions.c.latest_version, statement.excluded.latest_version)
    return statement.on_conflict_do_update(index_elements=["instruction_id"], set_={"latest_version": newest})


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, instruction_versions, _VERSION_COLUMNS)
