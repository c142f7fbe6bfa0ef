"""Who gives way where there are too many connections.

First the one that has owed the head of a request for longest: whoever floods the daemon with connections that say
nothing only closes his own. Where all are at work, a few more are let in to ask how the daemon is, one question each;
to everything else they are told that it is busy.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from uvicorn.protocols.http.flow_control import service_unavailable

from daemon.http.dispatch import App, Message, Receive, Scope, Send

HEALTH: Final = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
ASKING: Final = 8
"""How many connections above the limit may ask how the daemon is."""

C = TypeVar("C")


class Crowd(Generic[C]):
    """The connections of one server. ``close`` ends one of them."""

    def __init__(self, close: Callable[[C], None]) -> None:
        self._close = close
        self._asking: set[C] = set()
        self._silent: dict[C, None] = {}
        """In the order in which they fell silent."""

    def makes_room(self) -> bool:
        """Close the one that has been silent for longest; false where all are at work."""
        return self._close_first(asking=False)

    def lets_ask(self, newcomer: C) -> bool:
        """Whether *newcomer* may ask how the daemon is; those who may and say nothing give way to it."""
        if len(self._asking) >= ASKING and not self._close_first(asking=True):
            return False
        self._asking.add(newcomer)
        return True

    def fell_silent(self, connection: C) -> None:
        """It owes the head of a request."""
        self._silent.setdefault(connection)

    def spoke(self, connection: C) -> None:
        """The head of its request is there."""
        self._silent.pop(connection, None)

    def left(self, connection: C) -> None:
        self.spoke(connection)
        self._asking.discard(connection)

    def _close_first(self, *, asking: bool) -> bool:
        for connection in self._silent:
            if (connection in self._asking) is asking:
                self.left(connection)
                self._close(connection)
                return True
        return False


def asking_only(app: App) -> App:
    """*app* for a connection that may ask how the daemon is, once."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        if scope["path"] in HEALTH:
            await app(scope, receive, send_last)
        else:
            await service_unavailable(scope, receive, send)  # type: ignore[arg-type]  # the same by another name

    return answer
