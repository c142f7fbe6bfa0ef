"""Instructions as their owners see them."""

from collections.abc import Sequence

from contracts.errors import JsonObject, JsonValue
from contracts.payloads.callbacks import Block, BlockType
from contracts.values.times import format_micros
from storage.documents.instructions import InstructionVersion, VersionSummary


def instruction_view(version: InstructionVersion, latest_version: int) -> JsonObject:
    view: JsonObject = {
        "instruction_id": version.instruction_id,
        "job_id": version.job_id,
        "version": version.version,
        "latest_version": latest_version,
        "blocks": [*version.blocks],
        "validation_status": version.validation_status,
        "issues": [*version.issues],
        "created_by": version.created_by,
        "created_at": format_micros(version.created_at),
    }
    return view if version.provenance is None else {**view, "provenance": version.provenance}


def summary_view(summary: VersionSummary) -> JsonObject:
    view: JsonObject = {
        "version": summary.version,
        "validation_status": summary.validation_status,
        "created_by": summary.created_by,
        "created_at": format_micros(summary.created_at),
    }
    return view if summary.provenance is None else {**view, "provenance": summary.provenance}


def blocks_of(stored: Sequence[JsonObject]) -> list[Block]:
    """Stored blocks as values."""
    return [Block(str(each["block_id"]), BlockType(str(each["type"])), str(each["text"])) for each in stored]


def stored_blocks(blocks: Sequence[Block]) -> list[JsonObject]:
    """Blocks as messages have them."""
    return [{"block_id": each.block_id, "type": str(each.type), "text": each.text} for each in blocks]


def as_values(objects: Sequence[JsonObject]) -> list[JsonValue]:
    return [*objects]
