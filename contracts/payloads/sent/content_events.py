"""Items and publications as they are told: the result of ``.get``, the items of ``.list``, the payload of events."""

from pydantic.dataclasses import dataclass

from contracts.payloads.base import CLOSED, Payload
from contracts.payloads.callbacks import Ordinal, Sentiment, Uri, WorkerFailure
from contracts.payloads.ingest.schedule import Objective
from contracts.values.states import ItemState, PublicationState
from contracts.values.types import Count, Identifier, Name, Text, Timestamp


class ItemView(Payload):
    """A feed item; ``attempts`` counts the work messages that went out for it."""

    item_id: Identifier
    source: Identifier
    title: Text
    url: Uri
    published_at: Timestamp
    text: Text | None = None
    status: ItemState
    sentiment: Sentiment | None = None
    attempts: Count
    version: Ordinal
    created_at: Timestamp
    updated_at: Timestamp


@dataclass(frozen=True, slots=True, config=CLOSED)
class CancellationView:
    """Who called a publication off, when, and why."""

    by: str
    at: Timestamp
    reason: Text | None = None


class PublicationView(Payload):
    """A publication; ``attempts`` counts the work messages that went out for it."""

    post_id: Identifier
    platform: Identifier
    status: PublicationState
    publish_at: Timestamp
    caption: Text
    hashtags: list[Text]
    topic: Text | None = None
    objective: Objective | None = None
    script_id: Identifier | None = None
    job_id: Identifier | None = None
    external_id: Name | None = None
    failure: WorkerFailure | None = None
    cancelled: CancellationView | None = None
    attempts: Count
    version: Ordinal
    created_at: Timestamp
    updated_at: Timestamp
