"""A local HTTP server that speaks the protocol of Replicate's predictions API, over real sockets.

Each creation takes the next of the ``lives`` that a test has laid out: what the prediction looks like at the first
look, the second, and so on; the last look stays. Faults are laid out likewise, and each is used up by one request.
"""

import asyncio
import itertools
import json
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.waiting import PATIENCE_S

Operation = Literal["create", "get", "cancel", "list"]
Look = dict[str, Any]

STARTING: Look = {"status": "starting"}
PROCESSING: Look = {"status": "processing"}
FINAL = {"succeeded", "failed", "canceled", "aborted"}


def processing(percent: int) -> Look:
    return {"status": "processing", "logs": f"loading\n {percent}%|###   | {percent}/100 [00:01<00:02]\n"}


def succeeded(output: object = "https://delivery.example/out.mp4", seconds: float = 2.5) -> Look:
    return {"status": "succeeded", "output": output, "metrics": {"predict_time": seconds}}


def failed(error: str = "the model broke", seconds: float = 1.0) -> Look:
    return {"status": "failed", "error": error, "metrics": {"predict_time": seconds}}


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Fault:
    """An answer out of the ordinary. ``acts``: the request is carried out nevertheless; ``status`` 0 hangs up."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: object = None
    acts: bool = False


@dataclass
class Kept:
    """A prediction of the server."""

    id: str
    model: str
    version: str
    input: dict[str, Any]
    created_at: str
    looks: deque[Look]
    cancel_requests: int = 0

    def look(self) -> Look:
        return self.looks.popleft() if len(self.looks) > 1 else self.looks[0]

    def document(self, look: Look) -> dict[str, Any]:
        return {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "input": self.input,
            "output": None,
            "error": None,
            "logs": "",
            "metrics": {},
            "created_at": self.created_at,
            "urls": {"get": f"https://elsewhere.example/v1/predictions/{self.id}"},
            **look,
        }


class ReplicateServer:
    def __init__(self, token: str = "r8_secret", page_size: int = 100) -> None:
        self.token = token
        self.page_size = page_size
        self.lives: deque[list[Look]] = deque()
        self.faults: dict[Operation, deque[Fault]] = {name: deque() for name in ("create", "get", "cancel", "list")}
        self.predictions: list[Kept] = []
        self.requests: list[Request] = []
        self.base_url = ""
        self.on_create: Callable[[], None] | None = None
        """Called when a prediction has been made, before its creation is answered."""
        self._ids = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._connections:
            writer.close()
        await self._server.wait_closed()

    def of(self, operation: Operation) -> list[Request]:
        """The requests of one operation, in order."""
        return [request for request in self.requests if _operation(request) == operation]

    async def until(self, fact: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        """Return as soon as *fact* holds; it is looked at after each request."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(fact)

    def set_life(self, prediction: Kept, *looks: Look) -> None:
        """What the prediction looks like from now on."""
        prediction.looks = deque(looks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                answer = self._answer(request)
                async with self._changed:
                    self._changed.notify_all()
                if answer.status == 0:
                    return
                writer.write(_written(answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._connections.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, request: Request) -> Fault:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Fault(401, body={"title": "Unauthenticated", "detail": "You did not pass a valid token"})
        operation = _operation(request)
        if operation is None:
            return Fault(404, body={"detail": "Not found."})
        fault = self.faults[operation].popleft() if self.faults[operation] else None
        if fault is not None and not fault.acts:
            return fault
        answer = getattr(self, f"_{operation}")(request)
        return fault or answer

    def _create(self, request: Request) -> Fault:
        version = request.body.get("version", "")
        model = "/".join(request.path.split("/")[3:5]) if "/models/" in request.path else "owner/versioned"
        prediction = Kept(
            id=f"p{next(self._ids):04}",
            model=model,
            version=version or "hidden",
            input=request.body["input"],
            created_at=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            looks=deque(self.lives.popleft() if self.lives else [succeeded()]),
        )
        self.predictions.append(prediction)
        if self.on_create is not None:
            self.on_create()
        return Fault(201, body=prediction.document(STARTING))

    def _get(self, request: Request) -> Fault:
        prediction = self._named(request.path.split("/")[3])
        return (
            Fault(404, body={"detail": "Not found."}) if prediction is None else _found(prediction, prediction.look())
        )

    def _cancel(self, request: Request) -> Fault:
        prediction = self._named(request.path.split("/")[3])
        if prediction is None:
            return Fault(404, body={"detail": "Not found."})
        prediction.cancel_requests += 1
        if prediction.looks[0]["status"] not in FINAL:
            prediction.looks = deque([{"status": "canceled", "metrics": {"predict_time": 0.5}}])
        return _found(prediction, prediction.looks[0])

    def _list(self, request: Request) -> Fault:
        newest_first = self.predictions[::-1]
        start = int(request.query.get("cursor", "0"))
        page = newest_first[start : start + self.page_size]
        more = start + self.page_size < len(newest_first)
        following = f"https://elsewhere.example/v1/predictions?cursor={start + self.page_size}" if more else None
        results = [prediction.document(prediction.looks[0]) for prediction in page]
        return Fault(200, body={"previous": None, "next": following, "results": results})

    def _named(self, prediction_id: str) -> Kept | None:
        return next((known for known in self.predictions if known.id == prediction_id), None)


def _found(prediction: Kept, look: Look) -> Fault:
    return Fault(200, body=prediction.document(look))


def _operation(request: Request) -> Operation | None:
    match request.method, request.path:
        case "POST", path if re.fullmatch(r"/v1/(models/[^/]+/[^/]+/)?predictions", path):
            return "create"
        case "POST", path if re.fullmatch(r"/v1/predictions/[^/]+/cancel", path):
            return "cancel"
        case "GET", path if re.fullmatch(r"/v1/predictions/[^/]+", path):
            return "get"
        case "GET", "/v1/predictions":
            return "list"
    return None


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split()
    headers: dict[str, str] = {}
    while (header := (await reader.readline()).decode().strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    return Request(method, url.path, query, headers, json.loads(body) if body else None)


def _written(answer: Fault) -> bytes:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **answer.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode() + body
