"""What follows a commit, in intake and for commands alike, guarded: the commit stands, whatever telling of it comes to.

A mistake of ours there (a metric's label, an answer that cannot be written) is logged with its cause and ends nothing:
neither the other steps nor the task that they run in.
"""

from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)


def guarded(step: str, act: Callable[[], None]) -> None:
    """Do one step after a commit."""
    try:
        act()
    except Exception:
        log.exception("after_commit_failed", step=step)


async def guarded_wait(step: str, act: Callable[[], Awaitable[object]]) -> None:
    """Do one step after a commit that is waited for."""
    try:
        await act()
    except Exception:
        log.exception("after_commit_failed", step=step)
