"""The key ``q``: ends what shows figures on a terminal, as the interrupt key does."""

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOOK_S: Final = 0.2


@contextmanager
def quit_by_key() -> Iterator[None]:
    """While it lasts, ``q`` interrupts the program. Nothing where standard input is no terminal."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    over = threading.Event()
    tty.setcbreak(terminal)
    listener = threading.Thread(target=_listen, args=(terminal, over), name="quit-key", daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        listener.join()
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _listen(terminal: int, over: threading.Event) -> None:
    while not over.is_set():
        ready, _, _ = select.select([terminal], [], [], _LOOK_S)
        if ready and os.read(terminal, 1) in (b"q", b"Q"):
            os.kill(os.getpid(), signal.SIGINT)
            return
