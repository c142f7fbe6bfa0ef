"""``assets`` and ``asset_pins``."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, Delete, Row, Select, bindparam, delete, literal_column, select

from contracts.values.states import AssetState
from domain.assets.assets import Asset, Origin
from storage.engine.batches import BatchRows, Scalar, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.jobs.projects import Owned
from storage.tables.documents import asset_pins, assets, exports


class HolderKind(StrEnum):
    """What may need the bytes of an asset whatever becomes of it."""

    ANNOTATION = "annotation"
    EXPORT = "export"


class Pin(NamedTuple):
    """Something holds on to the bytes of an asset."""

    asset_id: str
    holder_kind: str
    holder_id: str


class AssetRepository(Protocol):
    """Assets and who holds on to them."""

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Asset]:
        """Those of *wanted* that belong to the owner named with them, by asset id, locked."""
        ...

    def uploads(self, wanted: Sequence[Owned]) -> Mapping[str, Asset]:
        """Those of *wanted* (upload id, owner) that belong to the owner, by upload id, locked."""
        ...

    def get(self, asset_id: str, *, owner: str) -> Asset | None:
        """One asset among its owner's, to look at."""
        ...

    def by_ids(self, asset_ids: Sequence[str]) -> Mapping[str, Asset]:
        """Assets of all owners, to look at."""
        ...

    def by_upload(self, upload_id: str) -> Asset | None:
        """The asset of an upload, of any owner, to look at."""
        ...

    def upsert(self, assets: Sequence[Asset]) -> None:
        """Keep new assets and changed ones."""
        ...

    def pin(self, pins: Sequence[Pin]) -> None:
        """Hold on to the bytes of assets; again changes nothing."""
        ...

    def unpin(self, holder_kind: str, holder_ids: Sequence[str]) -> None:
        """Let go of all that these hold on to."""
        ...

    def expired(self, *, now: int, limit: int) -> Sequence[Asset]:
        """Uploads that were not confirmed in time, the oldest first, locked."""
        ...

    def unheld(self, *, limit: int) -> Sequence[Asset]:
        """Deleted assets whose bytes are there and that nothing holds on to."""
        ...

    def named(self, objects: Sequence[str]) -> frozenset[str]:
        """Those of *objects* that an asset or an export names."""
        ...


class SqlAssetRepository:
    """Maps rows to assets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Asset]:
        return {asset.asset_id: asset for asset in self._locked(("asset_id", "owner"), wanted)}

    def uploads(self, wanted: Sequence[Owned]) -> Mapping[str, Asset]:
        found = self._locked(("upload_id", "owner"), wanted)
        return {asset.upload_id: asset for asset in found if asset.upload_id is not None}

    def _locked(self, names: tuple[str, ...], wanted: Sequence[tuple[str, ...]]) -> list[Asset]:
        if not wanted:
            return []
        rows = self._connection.execute(_found(self._dialect, names, locked=True), as_parameter(wanted))
        return [_asset(row) for row in rows]

    def get(self, asset_id: str, *, owner: str) -> Asset | None:
        found = self.by_ids([asset_id]).get(asset_id)
        return found if found is not None and found.owner == owner else None

    def by_ids(self, asset_ids: Sequence[str]) -> Mapping[str, Asset]:
        if not asset_ids:
            return {}
        wanted = as_parameter([(asset_id,) for asset_id in asset_ids])
        rows = self._connection.execute(_found(self._dialect, ("asset_id",), locked=False), wanted)
        return {row.asset_id: _asset(row) for row in rows}

    def by_upload(self, upload_id: str) -> Asset | None:
        row = self._connection.execute(_BY_UPLOAD, {"upload_id": upload_id}).one_or_none()
        return None if row is None else _asset(row)

    def upsert(self, assets: Sequence[Asset]) -> None:
        if assets:
            rows = [_as_row(asset) for asset in sorted(assets, key=lambda asset: asset.asset_id)]
            execute_change(self._connection, _put(self._dialect), as_parameter(rows))

    def pin(self, pins: Sequence[Pin]) -> None:
        if pins:
            execute_change(self._connection, _pin(self._dialect), as_parameter(sorted(pins)))

    def unpin(self, holder_kind: str, holder_ids: Sequence[str]) -> None:
        if holder_ids:
            pairs = [(holder_kind, each) for each in sorted(holder_ids)]
            execute_change(self._connection, _unpin(self._dialect), as_parameter(pairs))

    def expired(self, *, now: int, limit: int) -> Sequence[Asset]:
        return [_asset(row) for row in self._connection.execute(_EXPIRED, {"now": now, "limit": limit})]

    def unheld(self, *, limit: int) -> Sequence[Asset]:
        return [_asset(row) for row in self._connection.execute(_UNHELD, {"limit": limit})]

    def named(self, objects: Sequence[str]) -> frozenset[str]:
        if not objects:
            return frozenset()
        batch = as_parameter([(each,) for each in objects])
        of_assets = self._connection.execute(_named_by_assets(self._dialect), batch).scalars()
        of_exports = self._connection.execute(_named_by_exports(self._dialect), batch).scalars()
        return frozenset([*of_assets, *of_exports])


_NEVER_CHANGING: Final = (
    "asset_id",
    "upload_id",
    "owner",
    "job_id",
    "origin",
    "filename",
    "timestamp_ms",
    "created_at",
)
_CHANGING: Final = (
    "state", "media_type", "size", "sha256", "object", "width", "height", "expires_at", "updated_at", "deleted_at",
)  # fmt: skip
_NAMES: Final = (*_NEVER_CHANGING, *_CHANGING)
_ALL: Final = tuple(assets.c[name] for name in _NAMES)


def _as_row(asset: Asset) -> tuple[Scalar, ...]:
    return tuple(getattr(asset, name) for name in _NAMES)


def _asset(row: Row[*tuple[Any, ...]]) -> Asset:
    fields = {name: getattr(row, name) for name in _NAMES}
    return Asset(**{**fields, "state": AssetState(row.state), "origin": Origin(row.origin)})


_BY_UPLOAD: Final = select(*_ALL).where(assets.c.upload_id == bindparam("upload_id"))
# Spelt as the partial indexes have them: only so can the planner see that they serve.
_EXPIRED: Final = (
    select(*_ALL)
    .where(assets.c.state == literal_column("'PENDING'"), assets.c.expires_at <= bindparam("now"))
    .order_by(assets.c.expires_at)
    .limit(bindparam("limit"))
    # Somebody may be confirming one of them: who waits for the lock then sees that it is no longer pending.
    .with_for_update(of=assets)
)
_UNHELD: Final = (
    select(*_ALL)
    .where(
        assets.c.state == literal_column("'DELETED'"),
        assets.c.object.is_not(None),
        ~select(literal_column("1")).where(asset_pins.c.asset_id == assets.c.asset_id).exists(),
    )
    .order_by(assets.c.updated_at)
    .limit(bindparam("limit"))
)


@cache
def _found(dialect: str, names: tuple[str, ...], *, locked: bool) -> Select[*tuple[Any, ...]]:
    batch = BatchRows(dialect, assets, names)
    found = select(*_ALL).select_from(batch.source.join(assets, batch.same)).order_by(assets.c.asset_id)
    return found.with_for_update(of=assets) if locked else found


@cache
def _put(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, assets, _NAMES)
    return statement.on_conflict_do_update(
        index_elements=["asset_id"], set_={name: statement.excluded[name] for name in _CHANGING}
    )


@cache
def _pin(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, asset_pins, Pin._fields).on_conflict_do_nothing()


@cache
def _unpin(dialect: str) -> Delete:
    return delete(asset_pins).where(BatchRows(dialect, asset_pins, ("holder_kind", "holder_id")).contains)


@cache
def _named_by_assets(dialect: str) -> Select[str]:
    return select(assets.c.object).where(BatchRows(dialect, assets, ("object",)).contains)


@cache
def _named_by_exports(dialect: str) -> Select[str]:
    return select(exports.c.object).where(BatchRows(dialect, exports, ("object",)).contains)
