"""``GET /assets/<id>`` and ``GET /exports/<id>``: bytes for the holder of a signed URL."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from msgspec import Struct

from adapters.errors import AdapterError
from contracts.errors import ErrorCode, problem
from daemon.assets.byte_cache import ByteCache
from daemon.http.dispatch import Receive, Scope, Send
from daemon.http.responses import ServedFile, send_file, send_problem
from domain.access import NOT_FOUND
from domain.assets.signed_urls import Links, Method
from storage.engine.failures import StorageError

log = structlog.get_logger(__name__)


class Kept(Struct, frozen=True):
    """Where the bytes of a thing lie in the store, and how they are to be told."""

    object: str
    sha256: str
    size: int
    media_type: str
    disposition: str
    kept_at: int

    def served(self, path: Path) -> ServedFile:
        return ServedFile(path, self.size, self.sha256, self.media_type, self.disposition, self.kept_at)


Find: TypeAlias = Callable[[str], Awaitable[Kept | None]]
"""What the id stands for; None where its bytes are not to be had."""


class Downloads:
    """Answers signed GET and HEAD below one prefix."""

    def __init__(self, prefix: str, find: Find, *, cache: ByteCache, links: Links, clock: Callable[[], int]) -> None:
        self._prefix = prefix
        self._find = find
        self._cache = cache
        self._links = links
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        if scope["method"] not in ("GET", "HEAD"):
            await send_problem(send, WRONG_METHOD, {"allow": "GET, HEAD"})
            return
        path, query = str(scope["path"]), bytes(scope["query_string"]).decode("latin-1")
        if not self._links.allows(Method.GET, path, query, self._clock()):
            await send_problem(send, NOT_SIGNED)
            return
        try:
            kept = await self._find(path.removeprefix(self._prefix))
            if kept is None:
                await send_problem(send, NOT_FOUND)
                return
            file = await self._cache.file(kept.object, kept.sha256)
            await send_file(scope, send, kept.served(file), max_age_s=round(self._links.download_ttl_s))
        except (AdapterError, StorageError, OSError) as error:
            # The path, not the query: who reads the log gets no right by it.
            log.warning("download_failed", path=path, reason=str(error) or type(error).__name__)
            await send_problem(send, AWAY)


NOT_SIGNED: Final = problem(ErrorCode.FORBIDDEN, "the URL is not signed, or its time is over")
WRONG_METHOD: Final = problem(ErrorCode.FORBIDDEN, "the URL is not signed for this method")
AWAY: Final = problem(ErrorCode.UNAVAILABLE, "the file cannot be read now; try again")
