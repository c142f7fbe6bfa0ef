"""Whose turn it is to have a large message in hand: one at a time in a process, for a few of them fill its memory."""

import asyncio


class LargeTurn:
    """Shared by pulls. A turn begins before the message is asked for and ends when it is answered."""

    def __init__(self) -> None:
        self._holder: object | None = None
        self._waiting: dict[object, asyncio.Event] = {}

    def take(self, holder: object, free: asyncio.Event) -> bool:
        """Begin a turn; false while another has it, and then *free* is set when it may be tried again."""
        if self._holder is not None and self._holder is not holder:
            self._waiting[holder] = free
            return False
        self._holder = holder
        return True

    def give(self, holder: object) -> None:
        """End the turn; nothing where *holder* has none."""
        if self._holder is not holder:
            return
        self._holder = None
        waiting, self._waiting = self._waiting, {}
        for free in waiting.values():
            free.set()
