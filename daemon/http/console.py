"""The console over HTTP: the files that its build wrote, its configuration, and the exchange of a one-time code.

The routes are listed when the daemon starts, so no path of a request ever touches the disk. All of it is public but the
answer to a code. What NATS looks like from the page is known only once the server runs, so it is asked for each time.
"""

import hashlib
import html
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import orjson

from adapters.nats.server.server_configuration import WebsocketUser
from contracts.errors import JsonObject
from contracts.subjects import Subjects
from daemon.http.sign_in_codes import SignInCodes
from daemon.settings.model import Settings

USER: Final = "console"
INBOX_PREFIX: Final = "_INBOX.console"
PATH: Final = "/console/"
STATIC: Final = Path(__file__).parent / "console" / "static"

Scope: TypeAlias = Mapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
Send: TypeAlias = Callable[[Mapping[str, object]], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_MOST_BODY: Final = 4_096
_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Access:
    """How a page reaches NATS: the address, and the credentials that a code is exchanged for."""

    ws_url: str
    user: str = ""
    password: str = ""


def why_off(settings: Settings) -> str | None:
    """Why there is no console; None where there is one."""
    console = settings.console
    if not console.enabled:
        return "console.enabled is false"
    if console.ws_url:
        return None
    if settings.nats.mode == "external":
        return "console.ws_url is empty: with an external server it says where the page finds NATS"
    if settings.http.host not in _LOOPBACK_HOSTS:
        return "http.host is not a loopback address: set console.ws_url to where the page finds NATS"
    return None


class Console:
    """The console of one daemon. HTTP listens first, then the server starts: both tell where they are."""

    def __init__(self, settings: Settings, *, version: str, clock: Callable[[], int]) -> None:
        self.off = why_off(settings)
        self._settings = settings
        self._version = version
        self._clock = clock
        self._codes = SignInCodes()
        self._http_url = ""
        self._access: Callable[[], Access | None] = lambda: None

    def listens_at(self, http_url: str) -> None:
        self._http_url = http_url

    def reaches_nats_by(self, access: Callable[[], Access | None]) -> None:
        """*access* is None until the server runs."""
        self._access = access

    @property
    def url(self) -> str:
        """The page's address; empty where there is no console."""
        if self.off is not None:
            return ""
        public = self._settings.console.public_url
        return f"{public.rstrip('/')}/" if public else f"{self._http_url}{PATH}"

    def origins(self) -> tuple[str, ...]:
        """Where the page may have come from: loopback by each of its names, and the public address."""
        port = urlsplit(self._http_url).port
        names = [f"http://{name}:{port}" for name in _LOOPBACK]
        own = _origin(self._http_url)
        public = self._settings.console.public_url
        return tuple(dict.fromkeys([*names, own, *([_origin(public)] if public else [])]))

    def websocket_user(self) -> WebsocketUser | None:
        """The user that the embedded server has for the page; None where there is no console."""
        if self.off is not None or self._settings.nats.mode != "embedded":
            return None
        subjects = Subjects(self._settings.nats.prefix)
        prefix, bucket = subjects.prefix, subjects.status_bucket
        return WebsocketUser(
            name=USER,
            publish=(f"{prefix}.cmd.>", f"{prefix}.ops.>", f"$JS.API.DIRECT.GET.{subjects.status_lane}.>"),
            subscribe=(f"{INBOX_PREFIX}.>", f"{prefix}.pulse.>", f"{prefix}.event.>", f"$KV.{bucket}.>"),
            origins=self.origins(),
            port=self._settings.console.ws_port,
        )

    def issue_link(self) -> tuple[str, int] | None:
        """A one-time link and when it ends; None where sign-in is not by link."""
        if self.off is not None or "link" not in self.sign_in():
            return None
        code, expires_at = self._codes.issue(self._clock())
        return f"{self.url}#in={code}", expires_at

    def sign_in(self) -> Sequence[Literal["link", "password", "creds", "cookie"]]:
        """The ways to sign in: the embedded server's user is had by link only."""
        return ("link",) if self._settings.nats.mode == "embedded" else ("password", "creds", "cookie")

    def routes(self) -> list[tuple[str, Asgi]]:
        """The routes, files included: those that the build wrote and no others."""
        if self.off is not None:
            return [(PATH, self._says(404, f"There is no console here: {self.off}."))]
        index = STATIC / "index.html"
        routes: list[tuple[str, Asgi]] = [
            (PATH.rstrip("/"), self._moved),
            (f"{PATH}config.json", self._config),
            (f"{PATH}session", self._session),
        ]
        if not index.is_file():
            missing = "The console's page is not built: run `make console`, where npm can reach its registry."
            return [*routes, (PATH, self._says(503, missing))]
        routes.append((PATH, self._file(index)))
        routes += [
            (f"{PATH}{file.name}", self._file(file))
            for file in sorted(STATIC.iterdir())
            if file.suffix in _MEDIA_TYPES and file != index
        ]
        return routes

    # -- answers

    def _file(self, path: Path) -> Asgi:
        body = path.read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        is_hashed = path.suffix in {".js", ".css"}
        headers = {
            "content-type": _MEDIA_TYPES[path.suffix],
            "etag": tag,
            "cache-control": "public, max-age=31536000, immutable" if is_hashed else "no-cache",
        }

        async def answer(scope: Scope, _receive: object, send: Send) -> None:
            if not _reads(scope):
                return await self._send(scope, send, 405, b"", {"allow": "GET, HEAD"})
            known = [each.strip() for each in _headers(scope).get("if-none-match", "").split(",")]
            if tag in known or f"W/{tag}" in known:
                return await self._send(scope, send, 304, b"", headers)
            return await self._send(scope, send, 200, body, headers)

        return answer

    def _says(self, status: int, sentence: str) -> Asgi:
        """A page of one sentence."""
        body = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>headgate</title>'
            f"<h1>headgate: console</h1><p>{html.escape(sentence)}</p></html>"
        ).encode()

        async def answer(scope: Scope, _receive: object, send: Send) -> None:
            headers = {"content-type": _MEDIA_TYPES[".html"], "cache-control": "no-store"}
            await self._send(scope, send, status, body, headers)

        return answer

    async def _moved(self, scope: Scope, _receive: object, send: Send) -> None:
        await self._send(scope, send, 308, b"", {"location": PATH})

    async def _config(self, scope: Scope, _receive: object, send: Send) -> None:
        access = self._access()
        if not _reads(scope):
            return await self._send(scope, send, 405, b"", {"allow": "GET, HEAD"})
        if access is None:
            return await self._json(scope, send, 503, {"error": "NATS is not there yet"})
        return await self._json(
            scope,
            send,
            200,
            {
                "ws_url": access.ws_url,
                "prefix": self._settings.nats.prefix,
                "inbox_prefix": INBOX_PREFIX,
                "sign_in": [*self.sign_in()],
                "auth": self._settings.auth.mode,
                "version": self._version,
            },
        )

    async def _session(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A code for the credentials of the console's user."""
        headers, now = _headers(scope), self._clock()
        if scope["method"] != "POST":
            return await self._send(scope, send, 405, b"", {"allow": "POST"})
        if not self._is_own(headers):
            return await self._json(scope, send, 403, {"error": "this page is not the console's"})
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return await self._json(scope, send, 415, {"error": "the body should be application/json"})
        if self._codes.is_locked(now):
            return await self._json(scope, send, 429, {"error": "too many wrong codes; wait a minute"})
        code, access = _code_in(await _body(receive)), self._access()
        if access is None:
            return await self._json(scope, send, 503, {"error": "NATS is not there yet"})
        if not self._codes.take(code, now) or not access.user:
            return await self._json(scope, send, 401, {"error": "the code is wrong, used or too old"})
        return await self._json(
            scope, send, 200, {"user": access.user, "password": access.password, "ws_url": access.ws_url}
        )

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        """Whether the request comes from the console's own page: a foreign name that leads here is not it."""
        origins = self.origins()
        origin = headers.get("origin")
        hosts = {urlsplit(each).netloc for each in origins}
        return headers.get("host", "").lower() in hosts and (origin is None or origin.lower() in origins)

    async def _json(self, scope: Scope, send: Send, status: int, body: JsonObject) -> None:
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        await self._send(scope, send, status, orjson.dumps(body), headers)

    async def _send(self, scope: Scope, send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        access = self._access()
        every = {**headers, **security_headers(access.ws_url if access is not None else "")}
        if status not in {204, 304}:
            every["content-length"] = str(len(body))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def security_headers(ws_url: str) -> Mapping[str, str]:
    """What keeps a browser from doing more with the page than it is for."""
    connect = f"'self' {ws_url}".rstrip()
    return {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _reads(scope: Scope) -> bool:
    return scope["method"] in {"GET", "HEAD"}


def _headers(scope: Scope) -> Mapping[str, str]:
    found = scope["headers"]
    if not isinstance(found, (list, tuple)):
        return {}
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in found}


async def _body(receive: Receive) -> bytes:
    """The body of a request; what is longer than a code could be is cut off."""
    body = b""
    while len(body) <= _MOST_BODY:
        message = await receive()
        part = message.get("body", b"")
        body += part if isinstance(part, bytes) else b""
        if not message.get("more_body", False):
            break
    return body


def _code_in(body: bytes) -> str:
    """The code that a body names; empty, which is never one, where it names none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    code = value.get("code") if isinstance(value, dict) else None
    return code if isinstance(code, str) else ""
