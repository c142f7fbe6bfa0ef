"""What jobs make beside their instructions: assets, anchors with their pictures, annotations, exports."""

from typing import Final

from sqlalchemy import Index, Table
from sqlalchemy import text as sql

from storage.tables.base import integer, metadata, partial_index, text

_IS_PENDING: Final = sql("state = 'PENDING'")
_HAS_BYTES: Final = sql("state = 'DELETED' AND object IS NOT NULL")
_IS_AWAITING: Final = sql("awaits_task_id IS NOT NULL")
_AT_WORK: Final = sql("status IN ('REQUESTED', 'RUNNING')")

assets: Final = Table(
    "assets",
    metadata,
    text("asset_id", primary_key=True),
    text("upload_id", nullable=True),
    text("owner"),
    text("job_id", nullable=True),
    text("state"),
    text("origin"),
    text("filename"),
    # As it was announced; once the bytes are there, as they are.
    text("media_type"),
    integer("size"),
    text("sha256"),
    # Where the bytes lie in the store; null once they are gone.
    text("object", nullable=True),
    integer("width", nullable=True),
    integer("height", nullable=True),
    integer("timestamp_ms", nullable=True),
    # Until when an upload waits for its confirmation.
    integer("expires_at", nullable=True),
    integer("created_at"),
    integer("updated_at"),
    integer("deleted_at", nullable=True),
    Index("uq_assets_upload_id", "upload_id", unique=True),
    Index("ix_assets_job_id", "job_id", "asset_id"),
    Index("ix_assets_object", "object"),
    partial_index("ix_assets_pending", "expires_at", where=_IS_PENDING),
    partial_index("ix_assets_unnamed", "updated_at", where=_HAS_BYTES),
    sqlite_strict=True,
)

# Who needs the bytes of an asset whatever becomes of it: exports and annotations.
asset_pins: Final = Table(
    "asset_pins",
    metadata,
    text("asset_id", primary_key=True),
    text("holder_kind", primary_key=True),
    text("holder_id", primary_key=True),
    Index("ix_asset_pins_holder", "holder_kind", "holder_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

anchors: Final = Table(
    "anchors",
    metadata,
    text("anchor_id", primary_key=True),
    text("instruction_id"),
    text("owner"),
    integer("created_version"),
    text("block_id", nullable=True),
    # Characters of the block, or of the whole document where there is none.
    integer("char_start", nullable=True),
    integer("char_end", nullable=True),
    text("active_asset_id", nullable=True),
    # The extraction whose picture will be attached.
    text("awaits_task_id", nullable=True),
    integer("created_at"),
    integer("updated_at"),
    Index("ix_anchors_instruction_id", "instruction_id", "anchor_id"),
    partial_index("ix_anchors_awaiting", "awaits_task_id", where=_IS_AWAITING),
    sqlite_strict=True,
)

anchor_assets: Final = Table(
    "anchor_assets",
    metadata,
    text("anchor_id", primary_key=True),
    integer("ordinal", primary_key=True),
    text("asset_id"),
    integer("linked_version"),
    integer("attached_at"),
    integer("detached_at", nullable=True),
    Index("ix_anchor_assets_asset_id", "asset_id"),
    sqlite_strict=True,
)

annotations: Final = Table(
    "annotations",
    metadata,
    text("annotation_id", primary_key=True),
    text("anchor_id"),
    text("source_asset_id"),
    text("ops_hash"),
    text("ops"),
    text("asset_id"),
    text("sha256"),
    text("owner"),
    integer("created_at"),
    Index("uq_annotations_ops_hash", "anchor_id", "source_asset_id", "ops_hash", unique=True),
    sqlite_strict=True,
)

exports: Final = Table(
    "exports",
    metadata,
    text("export_id", primary_key=True),
    text("job_id"),
    text("owner"),
    text("format"),
    text("options"),
    # The hash of all that the export is made of: the same is one export.
    text("identity"),
    text("status"),
    integer("version"),
    integer("attempt"),
    # The versions and assets that it was asked for, and what is told of them once it has succeeded.
    text("pinned"),
    text("provenance", nullable=True),
    text("object", nullable=True),
    integer("size", nullable=True),
    text("sha256", nullable=True),
    text("error", nullable=True),
    text("trace_id"),
    integer("created_at"),
    integer("updated_at"),
    Index("uq_exports_identity", "identity", unique=True),
    Index("ix_exports_job_id", "job_id", "export_id"),
    partial_index("ix_exports_at_work", "updated_at", where=_AT_WORK),
    sqlite_strict=True,
)
