"""Items and publications as answers and events tell them: one view for both."""

from contracts import outgoing, subjects
from contracts.errors import JsonObject, JsonValue
from contracts.values.times import format_micros
from domain.content.publications import Cancellation
from domain.work.work import Failure
from handlers.effects import Context
from storage.content.items import StoredItem
from storage.content.publications import StoredPublication
from storage.journal.outbox import OutboxMessage


def item_view(item: StoredItem) -> JsonObject:
    """What may be absent is left out."""
    return _without_absent(
        {
            "item_id": item.item_id,
            "source": item.source,
            "title": item.title,
            "url": item.url,
            "published_at": format_micros(item.published_at),
            "text": item.text,
            "status": item.item.status,
            "sentiment": _sentiment(item),
            "attempts": item.item.attempt,
            "version": item.version,
            "created_at": format_micros(item.created_at),
            "updated_at": format_micros(item.updated_at),
        }
    )


def publication_view(stored: StoredPublication) -> JsonObject:
    """What may be absent is left out."""
    publication = stored.publication
    return _without_absent(
        {
            "post_id": publication.post_id,
            "platform": stored.platform,
            "status": publication.status,
            "publish_at": format_micros(publication.publish_at),
            "caption": stored.caption,
            "hashtags": list(stored.hashtags),
            "topic": stored.topic,
            "objective": stored.objective,
            "script_id": stored.script_id,
            "job_id": stored.job_id,
            "external_id": publication.external_id,
            "failure": _failure(publication.error),
            "cancelled": _cancelled(publication.cancellation),
            "attempts": publication.attempt,
            "version": stored.version,
            "created_at": format_micros(stored.created_at),
            "updated_at": format_micros(stored.updated_at),
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


def _sentiment(item: StoredItem) -> JsonValue:
    return None if item.sentiment is None else {"label": item.sentiment.label, "score": item.sentiment.score}


def _failure(why: Failure | None) -> JsonValue:
    return None if why is None else {"code": why.code, "message": why.message, "retryable": why.retryable}


def _cancelled(cancellation: Cancellation | None) -> JsonValue:
    if cancellation is None:
        return None
    cancelled: JsonObject = {"by": cancellation.by, "at": format_micros(cancellation.at)}
    return cancelled if cancellation.reason is None else cancelled | {"reason": cancellation.reason}


def _without_absent(view: JsonObject) -> JsonObject:
    return {name: value for name, value in view.items() if value is not None}
