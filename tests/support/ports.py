"""Ports for servers that must be found again where they were.

They lie below those that the system gives to connections and to servers that want any port: between the choice and the
server's start, and while a test has the server down, no such port can be taken by somebody else's connection.
"""

import random
import socket
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Final

_LOWEST: Final = 12_000
_HIGHEST_WITHOUT_RANGE: Final = 32_000
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """One that nobody listens on, and that this process was not given before."""
    return next(port for port in _ports() if _is_free(port))


@cache
def _ports() -> Iterator[int]:
    """Each of them once, in an order of this process's own: those that run beside it choose others."""
    try:
        end = int(_RANGE.read_text(encoding="ascii").split()[0])
    except OSError:
        end = _HIGHEST_WITHOUT_RANGE
    if end <= _LOWEST + 1_000:  # a machine that gives nearly all ports away
        end = _HIGHEST_WITHOUT_RANGE
    own = list(range(_LOWEST, end))
    random.SystemRandom().shuffle(own)
    return iter(own)


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as found:
        try:
            found.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
