"""How posts do, as platforms measure it."""

from typing import Annotated

from pydantic import Field

from contracts.payloads.base import Payload
from contracts.values.types import Count, Identifier, Timestamp


class ContentPerformance(Payload):
    """content.performance 1.0: what a post has come to up to ``at``; figures are totals since it was published."""

    post_id: Identifier
    platform: Identifier
    at: Timestamp
    impressions: Count
    reach: Count
    likes: Count
    comments: Count
    saves: Count
    shares: Count
    views: Count
    watch_through: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
