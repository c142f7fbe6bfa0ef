import asyncio

import pytest

from adapters.cancellation import cancel_and_wait


async def test_a_loop_that_loses_a_cancellation_is_ended_all_the_same() -> None:
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                if rounds > 1:
                    raise

    looping, other = asyncio.create_task(loop()), asyncio.create_task(asyncio.sleep(600))
    await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await cancel_and_wait([looping, other])

    assert rounds == 2
    assert looping.cancelled()
    assert other.cancelled()


async def test_how_a_task_has_ended_is_not_raised_at_who_ends_it() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    task = asyncio.create_task(broken())
    await asyncio.sleep(0)

    await cancel_and_wait([task])

    with pytest.raises(ValueError, match="broken"):
        await task
