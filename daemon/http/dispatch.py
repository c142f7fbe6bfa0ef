"""Routes with something in their path, in front of FastStream's app, which matches exact paths only.

The table may grow while the server listens: what answers is there before what it stands on.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""ASGI's own words."""


class Dispatch:
    """Hands a request to the route whose prefix its path begins with; all others go to *otherwise*."""

    def __init__(self, otherwise: App) -> None:
        self._otherwise: Final = otherwise
        self._routes: Final[dict[str, App]] = {}

    def add(self, prefix: str, app: App) -> None:
        """From now on *app* answers whatever begins with *prefix* (``/assets/``)."""
        self._routes[prefix] = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = str(scope["path"])
            for prefix, app in self._routes.items():
                if path.startswith(prefix):
                    await app(scope, receive, send)
                    return
        await self._otherwise(scope, receive, send)
