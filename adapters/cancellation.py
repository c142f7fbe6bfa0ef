"""An end for tasks that loop.

Before Python 3.12 ``asyncio.wait_for`` drops a cancellation that comes in the moment in which what it waits for is done
(https://github.com/python/cpython/issues/86296), and the NATS client waits in it for every answer. A loop that was told
to end once in such a moment goes on for ever. anyio's scopes tell it again; a bare task must be told so.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

_AGAIN_S: Final = 1.0
"""Long enough for what a task still has to do at its end: that would be cut short, too."""


async def cancel_and_wait(tasks: Iterable["asyncio.Task[object]"]) -> None:
    """Cancel *tasks* until all have ended; how they ended is nobody's matter any more."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()  # else asyncio complains that nobody asked


def end_where_told_so() -> None:
    """Raise the cancellation that the current task was told of and lost."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
