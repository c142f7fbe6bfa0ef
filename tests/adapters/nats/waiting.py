"""Waiting for facts instead of for time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(fact: Callable[[], T], *, within_s: float = 15.0) -> T:
    """The first true value of ``fact``; fails when there is none within the deadline."""
    deadline = time.monotonic() + within_s
    while not (value := fact()):
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        await asyncio.sleep(0.01)
    return value


async def eventually_awaited(fact: Callable[[], Awaitable[T]], *, within_s: float = 15.0) -> T:
    """The same for a fact that must be asked for."""
    deadline = time.monotonic() + within_s
    while not (value := await fact()):
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        await asyncio.sleep(0.01)
    return value
