"""What feeds bring in: items that are to be analysed."""

from contracts.payloads.base import Payload
from contracts.payloads.callbacks import Uri
from contracts.values.types import Identifier, Text, Timestamp


class FeedItem(Payload):
    """feed.item 1.0"""

    item_id: Identifier
    source: Identifier
    title: Text
    url: Uri
    published_at: Timestamp
    text: Text | None = None
