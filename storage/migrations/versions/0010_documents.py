"""Assets, anchors, annotations and exports; what a worker reported and is still to be proven stands beside its task."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("tasks", sa.Column("reported", _TEXT, nullable=True))
    where = sa.text("reported IS NOT NULL")
    op.create_index("ix_tasks_reported", "tasks", ["task_id"], sqlite_where=where, postgresql_where=where)
    _create_assets()
    _create_asset_pins()
    _create_anchors()
    _create_annotations()
    _create_exports()


def downgrade() -> None:
    for table in ("exports", "annotations", "anchor_assets", "anchors", "asset_pins", "assets"):
        op.drop_table(table)
    op.drop_index("ix_tasks_reported", "tasks")
    op.drop_column("tasks", "reported")


def _text(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, _TEXT, nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, _INTEGER, nullable=nullable)


def _create_assets() -> None:
    op.create_table(
        "assets",
        _text("asset_id"),
        _text("upload_id", nullable=True),
        _text("owner"),
        _text("job_id", nullable=True),
        _text("state"),
        _text("origin"),
        _text("filename"),
        _text("media_type"),
        _integer("size"),
        _text("sha256"),
        _text("object", nullable=True),
        _integer("width", nullable=True),
        _integer("height", nullable=True),
        _integer("timestamp_ms", nullable=True),
        _integer("expires_at", nullable=True),
        _integer("created_at"),
        _integer("updated_at"),
        _integer("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_assets")),
        sqlite_strict=True,
    )
    op.create_index("uq_assets_upload_id", "assets", ["upload_id"], unique=True)
    op.create_index("ix_assets_job_id", "assets", ["job_id", "asset_id"])
    op.create_index("ix_assets_object", "assets", ["object"])
    pending = sa.text("state = 'PENDING'")
    op.create_index("ix_assets_pending", "assets", ["expires_at"], sqlite_where=pending, postgresql_where=pending)
    unnamed = sa.text("state = 'DELETED' AND object IS NOT NULL")
    op.create_index("ix_assets_unnamed", "assets", ["updated_at"], sqlite_where=unnamed, postgresql_where=unnamed)


def _create_asset_pins() -> None:
    op.create_table(
        "asset_pins",
        _text("asset_id"),
        _text("holder_kind"),
        _text("holder_id"),
        sa.PrimaryKeyConstraint("asset_id", "holder_kind", "holder_id", name=op.f("pk_asset_pins")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_asset_pins_holder", "asset_pins", ["holder_kind", "holder_id"])


def _create_anchors() -> None:
    op.create_table(
        "anchors",
        _text("anchor_id"),
        _text("instruction_id"),
        _text("owner"),
        _integer("created_version"),
        _text("block_id", nullable=True),
        _integer("char_start", nullable=True),
        _integer("char_end", nullable=True),
        _text("active_asset_id", nullable=True),
        _text("awaits_task_id", nullable=True),
        _integer("created_at"),
        _integer("updated_at"),
        sa.PrimaryKeyConstraint("anchor_id", name=op.f("pk_anchors")),
        sqlite_strict=True,
    )
    op.create_index("ix_anchors_instruction_id", "anchors", ["instruction_id", "anchor_id"])
    awaiting = sa.text("awaits_task_id IS NOT NULL")
    op.create_index(
        "ix_anchors_awaiting", "anchors", ["awaits_task_id"], sqlite_where=awaiting, postgresql_where=awaiting
    )
    op.create_table(
        "anchor_assets",
        _text("anchor_id"),
        _integer("ordinal"),
        _text("asset_id"),
        _integer("linked_version"),
        _integer("attached_at"),
        _integer("detached_at", nullable=True),
        sa.PrimaryKeyConstraint("anchor_id", "ordinal", name=op.f("pk_anchor_assets")),
        sqlite_strict=True,
    )
    op.create_index("ix_anchor_assets_asset_id", "anchor_assets", ["asset_id"])


def _create_annotations() -> None:
    op.create_table(
        "annotations",
        _text("annotation_id"),
        _text("anchor_id"),
        _text("source_asset_id"),
        _text("ops_hash"),
        _text("ops"),
        _text("asset_id"),
        _text("sha256"),
        _text("owner"),
        _integer("created_at"),
        sa.PrimaryKeyConstraint("annotation_id", name=op.f("pk_annotations")),
        sqlite_strict=True,
    )
    columns = ["anchor_id", "source_asset_id", "ops_hash"]
    op.create_index("uq_annotations_ops_hash", "annotations", columns, unique=True)


def _create_exports() -> None:
    op.create_table(
        "exports",
        _text("export_id"),
        _text("job_id"),
        _text("owner"),
        _text("format"),
        _text("options"),
        _text("identity"),
        _text("status"),
        _integer("version"),
        _integer("attempt"),
        _text("pinned"),
        _text("provenance", nullable=True),
        _text("object", nullable=True),
        _integer("size", nullable=True),
        _text("sha256", nullable=True),
        _text("error", nullable=True),
        _text("trace_id"),
        _integer("created_at"),
        _integer("updated_at"),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_exports")),
        sqlite_strict=True,
    )
    op.create_index("uq_exports_identity", "exports", ["identity"], unique=True)
    op.create_index("ix_exports_job_id", "exports", ["job_id", "export_id"])
    at_work = sa.text("status IN ('REQUESTED', 'RUNNING')")
    op.create_index("ix_exports_at_work", "exports", ["updated_at"], sqlite_where=at_work, postgresql_where=at_work)
