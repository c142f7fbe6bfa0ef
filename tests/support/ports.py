"""Ports for servers that must be found again where they were."""

import socket
from contextlib import closing


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
