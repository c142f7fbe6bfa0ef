"""What is to be published, where and when."""

from enum import StrEnum

from contracts.payloads.base import Items, Payload
from contracts.values.types import Identifier, Text, Timestamp


class Objective(StrEnum):
    """What a post is to achieve."""

    REACH = "reach"
    SAVES = "saves"
    SHARES = "shares"
    WATCH_THROUGH = "watch_through"


class ContentSchedule(Payload):
    """content.schedule 1.0"""

    post_id: Identifier
    script_id: Identifier | None = None
    job_id: Identifier | None = None
    platform: Identifier
    publish_at: Timestamp
    caption: Text
    hashtags: Items[Text]
    topic: Text | None = None
    objective: Objective | None = None
