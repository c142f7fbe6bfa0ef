"""Status updates: the newest public view of a thing, on its way to the status bucket.

The view goes through the outbox like every other message. The publisher of the bucket's lane sees to it that an older
version never takes the place of a newer one.
"""

import orjson

from contracts.errors import JsonObject
from handlers.effects import Context
from storage.journal.outbox import OutboxMessage


def status_update(key: str, view: JsonObject, context: Context) -> OutboxMessage:
    """The entry *key* (``job.<job_id>``); the view has its ``version``."""
    return OutboxMessage(
        message_id=context.new_id(),
        lane=context.subjects.status_lane,
        aggregate=f"status.{key}",
        subject=context.subjects.status_key(key),
        body=orjson.dumps(view),
    )
