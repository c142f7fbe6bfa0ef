"""Items and publications as answers and events tell them: one view for both."""

import orjson

from contracts import outgoing, subjects
from contracts.errors import JsonObject, JsonValue
from contracts.values.times import format_micros
from handlers.effects import Context
from storage.journal.outbox import OutboxMessage
from storage.ledger.ports import FeedItem, Publication


def item_view(item: FeedItem) -> JsonObject:
    """What may be absent is left out."""
    return _without_absent(
        {
            "item_id": item.item_id,
            "source": item.source,
            "title": item.title,
            "url": item.url,
            "published_at": format_micros(item.published_at),
            "text": item.text,
            "status": item.status,
            "sentiment": _sentiment(item),
            "attempts": item.attempt,
            "version": item.version,
            "created_at": format_micros(item.created_at),
            "updated_at": format_micros(item.updated_at),
        }
    )


def publication_view(publication: Publication) -> JsonObject:
    """What may be absent is left out."""
    return _without_absent(
        {
            "post_id": publication.post_id,
            "platform": publication.platform,
            "status": publication.status,
            "publish_at": format_micros(publication.publish_at),
            "caption": publication.caption,
            "hashtags": orjson.loads(publication.hashtags),
            "topic": publication.topic,
            "objective": publication.objective,
            "script_id": publication.script_id,
            "job_id": publication.job_id,
            "external_id": publication.external_id,
            "failure": None if publication.failure is None else orjson.loads(publication.failure),
            "cancelled": _cancelled(publication),
            "attempts": publication.attempt,
            "version": publication.version,
            "created_at": format_micros(publication.created_at),
            "updated_at": format_micros(publication.updated_at),
        }
    )


def view_event(
    aggregate: str, thing_id: str, event: str, view: JsonObject, *, trace_id: str, context: Context
) -> OutboxMessage:
    """The event that a thing is now as its *view* says, on ``event.<aggregate>.<id>.<event>``."""
    message_id = context.new_id()
    subject = subjects.event(aggregate, thing_id, event)
    kind = outgoing.event_kind(aggregate, event)
    return OutboxMessage(
        message_id=message_id,
        lane=context.subjects.lane(subject),
        aggregate=f"{aggregate}.{thing_id}",
        subject=context.subjects.full(subject),
        body=outgoing.envelope(kind, view, message_id=message_id, trace_id=trace_id, now=context.now),
    )


def _sentiment(item: FeedItem) -> JsonValue:
    if item.sentiment_label is None:
        return None
    return {"label": item.sentiment_label, "score": item.sentiment_score}


def _cancelled(publication: Publication) -> JsonValue:
    if publication.cancelled_by is None or publication.cancelled_at is None:
        return None
    cancelled: JsonObject = {"by": publication.cancelled_by, "at": format_micros(publication.cancelled_at)}
    return cancelled if publication.cancel_reason is None else cancelled | {"reason": publication.cancel_reason}


def _without_absent(view: JsonObject) -> JsonObject:
    return {name: value for name, value in view.items() if value is not None}
