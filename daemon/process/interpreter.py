"""The interpreter and the signals of the daemon's process."""

import asyncio
import ctypes
import gc
import os
import signal
import sys
from typing import Final

_SWITCH_INTERVAL_S: Final = 0.0003
"""After each statement a database thread waits so long for the lock while the loop is busy, and a transaction has two
dozen of them. Measured for intake: 31,500 messages a second, with a millisecond 27,200; with a tenth of one the
switching itself costs a tenth of the processor time."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 512 * 1024


def tune_interpreter() -> None:
    """Set what the event loop and the database threads share: the interpreter lock and the collector.

    The collector's default thresholds walk the whole heap every few batches.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(50_000, 20, 50)


def return_large_memory() -> None:
    """Have the allocator give blocks of large messages back to the system as soon as they are free.

    By default it raises its threshold to the largest block that it has seen freed; after one large message all later
    ones would lie in its heaps, which keep them. Nothing to do where the allocator is another one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)


def freeze_heap() -> None:
    """Take what the start has made out of the collector's sight: it lives as long as the process.

    It is not searched for garbage before: that takes a tenth of a second and finds hardly a thousand of 180,000.
    """
    gc.freeze()
    gc.enable()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set *stop* at SIGTERM and SIGINT; a second signal ends the process at once."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
