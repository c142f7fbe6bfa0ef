"""Waiting for facts inside a loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.support.waiting import PATIENCE_S, never_true, pauses

T = TypeVar("T")


async def eventually(fact: Callable[[], T], *, within_s: float = PATIENCE_S) -> T:
    """The first true value of ``fact``; fails when there is none within the deadline."""
    for pause_s in pauses(within_s):
        if value := fact():
            return value
        await asyncio.sleep(pause_s)
    raise never_true(within_s)


async def eventually_awaited(fact: Callable[[], Awaitable[T]], *, within_s: float = PATIENCE_S) -> T:
    """The same for a fact that must be asked for."""
    for pause_s in pauses(within_s):
        if value := await fact():
            return value
        await asyncio.sleep(pause_s)
    raise never_true(within_s)
