"""``PUT /uploads/<id>``: bytes on their way into the object store, judged while they arrive.

Nothing is kept of a file that ends early, goes on too long, is not what was announced or comes too slowly. At most a
chunk of it is ever in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog

from adapters.errors import AdapterError
from adapters.media.detection import HEAD_BYTES, detect
from adapters.nats.object_store import ObjectStore, OtherBytesError
from contracts.errors import ErrorCode, JsonObject, Problem, Refusal, problem
from contracts.values.states import AssetState
from daemon.http.dispatch import Receive, Scope, Send
from daemon.http.downloads import AWAY, NOT_SIGNED, WRONG_METHOD
from daemon.http.responses import header, send_json, send_problem
from domain.access import NOT_FOUND
from domain.assets.assets import CONFIRMED, EXPIRED, MEDIA_TYPES, UNSUPPORTED, WRONG_BYTES, Asset
from domain.assets.signed_urls import Links, Method
from storage.engine.database import Database
from storage.engine.failures import StorageError

log = structlog.get_logger(__name__)

PREFIX: Final = "/uploads/"
_AT_ONCE: Final = 100
_SILENCE_S: Final = 30.0
_GRACE_S: Final = 30.0
_LEAST_BYTES_PER_S: Final = 16 * 1024
_PAUSE_S: Final = 5


class Uploads:
    """Takes in what ``asset.begin-upload`` announced."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        *,
        links: Links,
        clock: Callable[[], int],
        at_once: int = _AT_ONCE,
        silence_s: float = _SILENCE_S,
    ) -> None:
        self._database = database
        self._store = store
        self._links = links
        self._clock = clock
        self._at_once = at_once
        self._silence_s = silence_s
        self._in_hand: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query = str(scope["path"]), bytes(scope["query_string"]).decode("latin-1")
        if scope["method"] != "PUT":
            await send_problem(send, WRONG_METHOD, {"allow": "PUT"})
            return
        if not self._links.allows(Method.PUT, path, query, self._clock()):
            await send_problem(send, NOT_SIGNED, _CLOSE)
            return
        upload_id = path.removeprefix(PREFIX)
        if upload_id in self._in_hand:
            await send_problem(send, AT_WORK, _CLOSE)
        elif len(self._in_hand) >= self._at_once:
            await send_problem(send, BUSY, {"retry-after": str(_PAUSE_S), **_CLOSE})
        else:
            self._in_hand.add(upload_id)
            try:
                await self._answer(upload_id, scope, receive, send)
            finally:
                self._in_hand.discard(upload_id)

    async def _answer(self, upload_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            asset = await self._database.read(lambda uow: uow.assets.by_upload(upload_id))
            if (wrong := self._objection(asset, header(scope, b"content-length"))) is not None or asset is None:
                await send_problem(send, wrong or NOT_FOUND, _CLOSE)
                return
            await self._store.put(asset.object or "", self._checked(asset, receive), sha256=asset.sha256)
        except Refusal as refusal:
            await send_problem(send, refusal.problem, _CLOSE)
        except OtherBytesError:
            await send_problem(send, WRONG_BYTES, _CLOSE)
        except ClientGoneError:
            log.info("upload_broken_off", upload_id=upload_id)
        except (AdapterError, StorageError, OSError) as error:
            log.warning("upload_failed", upload_id=upload_id, reason=str(error) or type(error).__name__)
            await send_problem(send, AWAY, _CLOSE)
        else:
            told: JsonObject = {"upload_id": upload_id, "asset_id": asset.asset_id, "size": asset.size}
            await send_json(send, 200, {**told, "sha256": asset.sha256})

    def _objection(self, asset: Asset | None, length: str | None) -> Problem | None:
        """Why not a byte is taken."""
        if asset is None:
            return NOT_FOUND
        if asset.state is AssetState.READY:
            return CONFIRMED
        if asset.state is not AssetState.PENDING or (asset.expires_at or 0) <= self._clock():
            return EXPIRED
        if length is not None and length.isdigit() and int(length) != asset.size:
            return LONGER if int(length) > asset.size else SHORTER
        return None

    async def _checked(self, asset: Asset, receive: Receive) -> AsyncIterator[bytes]:
        """The bytes as they come. Raises :class:`Refusal` as soon as they cannot be what was announced."""
        size, head, known = 0, bytearray(), False
        async for part in self._parts(receive):
            size += len(part)
            if size > asset.size:
                raise Refusal(LONGER)
            if not known:
                head += part[:HEAD_BYTES]
                known = len(head) >= min(HEAD_BYTES, asset.size)
                if known and detect(bytes(head)) not in MEDIA_TYPES:
                    raise Refusal(UNSUPPORTED)
            yield part
        if size < asset.size:
            raise Refusal(SHORTER)

    async def _parts(self, receive: Receive) -> AsyncIterator[bytes]:
        """What the client sends. Raises :class:`ClientGoneError`, or :class:`Refusal` where it is too slow."""
        loop = asyncio.get_running_loop()
        began, size = loop.time(), 0
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    message = await receive()
            except TimeoutError:
                raise Refusal(TOO_SLOW) from None
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = bytes(message.get("body", b""))
            size += len(part)
            if part:
                yield part
            if not message.get("more_body", False):
                return
            if (took_s := loop.time() - began) > _GRACE_S and size < (took_s - _GRACE_S) * _LEAST_BYTES_PER_S:
                raise Refusal(TOO_SLOW)


class ClientGoneError(Exception):
    """The client closed the connection before it had sent all."""


_CLOSE: Final = {"connection": "close"}
"""What was not read of the request would be taken for the next one."""

LONGER: Final = problem(ErrorCode.PAYLOAD_TOO_LARGE, "more was sent than was announced")
SHORTER: Final = problem(ErrorCode.VALIDATION_ERROR, "less was sent than was announced")
TOO_SLOW: Final = problem(ErrorCode.VALIDATION_ERROR, "the upload came too slowly")
BUSY: Final = problem(ErrorCode.UNAVAILABLE, "too many uploads at once; try again")
AT_WORK: Final = problem(ErrorCode.UPLOAD_CONFLICT, "this upload is on its way already")
