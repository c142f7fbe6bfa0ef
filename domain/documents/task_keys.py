"""By what the same request for a task is known again: a hash of all that it asks for, in one canonical form."""

from collections.abc import Collection

from contracts.errors import JsonObject
from contracts.gate.canonical import payload_hash


def extraction_request(
    video_uri: str, timestamps_ms: Collection[int], width: int | None, picture_format: str
) -> JsonObject:
    """What is asked of an extraction, after defaults, each moment once and in order."""
    return {
        "video_uri": video_uri,
        "timestamps_ms": [*sorted(set(timestamps_ms))],
        "width": width,
        "format": picture_format,
    }


def regeneration_request(base_version: int, block_ids: Collection[str], prompt: str | None) -> JsonObject:
    """What is asked of a regeneration; the order of the blocks is the document's."""
    return {"base_version": base_version, "block_ids": [*sorted(block_ids)], "prompt": prompt}


def request_key(request: JsonObject) -> str:
    return payload_hash(request)
