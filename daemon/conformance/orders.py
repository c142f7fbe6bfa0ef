"""The work that a trial hands out: one sample for each type."""

from typing import Final, NamedTuple

from contracts.errors import JsonObject
from contracts.values.work import WorkType

_BLOCKS: Final[list[JsonObject]] = [{"block_id": "step-1", "type": "step", "text": "A lighthouse at dusk."}]
_AT: Final = "2030-01-01T00:00:00.000000Z"
_VIDEO: Final = "https://files.example/in.mp4"


class Order(NamedTuple):
    """``family`` and ``key`` say what the work is for: ``job`` and ``job_id``."""

    family: str
    key: str
    payload: JsonObject


ORDERS: Final[dict[WorkType, Order]] = {
    WorkType.JOB_PROCESS: Order("job", "job_id", {"prompt": "A lighthouse at dusk.", "objective": "reach"}),
    WorkType.JOB_RENDER: Order(
        "job", "job_id", {"instruction": {"version": 1, "blocks": [*_BLOCKS]}, "video_uri": _VIDEO}
    ),
    WorkType.ITEM_ANALYSE: Order(
        "item",
        "item_id",
        {"source": "feed", "title": "A title", "url": "https://news.example/1", "published_at": _AT, "text": "Text."},
    ),
    WorkType.PUBLISH: Order(
        "publish",
        "post_id",
        {"platform": "video", "publish_at": _AT, "caption": "A caption", "hashtags": ["one"], "video_url": _VIDEO},
    ),
    WorkType.INSTRUCTION_REGENERATE: Order(
        "task", "task_id", {"base_version": 1, "blocks": [*_BLOCKS], "block_ids": ["step-1"]}
    ),
    WorkType.SCREENSHOT_EXTRACT: Order(
        "task", "task_id", {"video_uri": _VIDEO, "timestamps_ms": [1_000], "format": "png", "object_prefix": "trial/"}
    ),
}
