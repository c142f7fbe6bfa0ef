"""The loop that hands publications out at their moment.

Every daemon runs it: a publication that another daemon is handing out is locked and skipped, one that went out is no
longer scheduled. So nothing waits for the lease of a daemon that died, and what is due is never late by that.
"""

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from daemon.outbox.relay import Relay
from daemon.transactions import Done, Poison, isolated
from handlers.content.publications import send_due
from handlers.effects import Context
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict

log = structlog.get_logger(__name__)

LOOK_S: Final = 0.5
"""How long a schedule that somebody else stored may stay unseen: half of what a dispatch may be late."""
_AT_ONCE: Final = 100
_BROKEN_S: Final = 60
_MICROS: Final = 1_000_000


class DuePublications:
    """Dispatches what is due, and sleeps until the next one is."""

    def __init__(self, database: Database, context: Callable[[], Context], relay: Relay) -> None:
        self._database = database
        self._context = context
        self._relay = relay
        self._broken: dict[str, int] = {}

    async def step(self) -> float:
        """Dispatch what is due; answers how long nothing will be, as far as is known. Raises what storage raises."""
        due_at = await self._database.read(lambda uow: uow.publications.next_due_at())
        if due_at is None:
            return LOOK_S
        early_s = (due_at - self._context().now) / _MICROS
        if early_s > 0:
            return min(LOOK_S, early_s)
        # What is due and could not be had is in the hands of another daemon.
        return 0.0 if await self._dispatch() else LOOK_S

    async def _dispatch(self) -> int:
        """How many went out. One that cannot go out is left alone for a while and does not stop the others."""
        now = self._context().now
        self._broken = {post_id: until for post_id, until in self._broken.items() if until > now}
        try:
            return await self._hand_out()
        except (StorageAway, StorageConflict):
            raise
        except Exception:  # whatever one publication causes must not stop the others
            log.exception("publication_not_dispatched")
        return await self._hand_out_apart(now)

    async def _hand_out_apart(self, now: int) -> int:
        """What is due, apart from what cannot go out."""
        limit = _AT_ONCE + len(self._broken)
        due = await self._database.read(lambda uow: uow.publications.due_since(now, limit=limit))
        sent, due = 0, [post_id for post_id in due if post_id not in self._broken]
        async for outcome in isolated(due, self._hand_out, passing=(StorageAway, StorageConflict)):
            match outcome:
                case Done(_, count):
                    sent += count
                case Poison(post_id, cause):
                    log.error("publication_not_dispatched", post_id=post_id, exc_info=cause)
                    self._broken[post_id] = now + _BROKEN_S * _MICROS
        return sent

    async def _hand_out(self, only: Sequence[str] | None = None) -> int:
        context, without = self._context(), list(self._broken)
        sent = await self._database.write(
            lambda uow: send_due(uow, context, limit=_AT_ONCE, without=without, only=only)
        )
        self._relay.wake(sent.lanes)
        if sent.posts:
            log.info("publications_dispatched", count=sent.posts)
        return sent.posts
