"""An HTTP client that speaks JSON to one host and to no other, and carries its token there alone."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import httpx
import orjson

from adapters.providers.base import ProviderError, Reason
from adapters.retry_after import retry_after_s
from contracts.errors import JsonObject, JsonValue

MAX_ANSWER_BYTES: Final = 16 * 2**20
_CONNECT_S: Final = 10.0
_READ_S: Final = 30.0
_MOST_DETAIL: Final = 1_000
_RESETS_IN: Final = re.compile(r"\bin ~?([0-9]{1,6}) ?s\b")
_REASONS: Final = {
    401: Reason.UNAUTHORIZED,
    402: Reason.UNAUTHORIZED,
    403: Reason.UNAUTHORIZED,
    404: Reason.NOT_FOUND,
    408: Reason.TIMEOUT,
    425: Reason.SERVER_ERROR,
    429: Reason.RATE_LIMITED,
}


class PinnedClient:
    """Requests to paths below ``base_url``. Redirects are not followed: they are answers out of protocol.

    Neither proxies nor ``.netrc`` of the environment are looked at: they would send the token elsewhere or replace it.
    """

    def __init__(self, base_url: str, token: str, *, read_timeout_s: float = _READ_S) -> None:
        self._base = httpx.URL(base_url.rstrip("/"))
        headers = {"user-agent": "headgate", "accept": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._client = httpx.AsyncClient(
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(read_timeout_s, connect=min(_CONNECT_S, read_timeout_s)),
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: JsonObject | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JsonValue:
        """The answer's JSON. Raises :class:`ProviderError` for everything but a 2xx with JSON in it."""
        try:
            async with self._client.stream(
                method,
                self._url(path),
                content=None if body is None else orjson.dumps(body),
                params=params,
                headers={**({} if body is None else {"content-type": "application/json"}), **(headers or {})},
            ) as response:
                content = await _content(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ProviderError(Reason.CONNECTION, f"no connection: {type(error).__name__}") from error
        except httpx.TimeoutException as error:
            raise ProviderError(Reason.TIMEOUT, "no answer in time", may_have_happened=True) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            detail = f"the connection broke: {type(error).__name__}"
            raise ProviderError(Reason.CONNECTION, detail, may_have_happened=True) from error
        return _answer(response, content)

    def _url(self, path: str) -> httpx.URL:
        """Below the base, whatever the path holds; raises ``ValueError`` for one that would lead to another host."""
        url = httpx.URL(f"{self._base}{path}")
        if not path.startswith("/") or (url.scheme, url.host, url.port) != (
            self._base.scheme,
            self._base.host,
            self._base.port,
        ):
            raise ValueError("a request should stay on the configured host")
        return url

    async def close(self) -> None:
        await self._client.aclose()


async def _content(response: httpx.Response) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ProviderError(Reason.PROTOCOL, "the answer is too large", may_have_happened=True)
        parts.append(part)
    return b"".join(parts)


def _answer(response: httpx.Response, content: bytes) -> JsonValue:
    status = response.status_code
    try:
        answer: JsonValue = orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        answer = None
        if response.is_success:
            raise ProviderError(Reason.PROTOCOL, "the answer is not JSON", may_have_happened=True) from None
    if response.is_success:
        return answer
    if response.is_redirect or status < 200:
        raise ProviderError(Reason.PROTOCOL, f"status {status}: redirects are not followed")
    server_error = status >= 500
    raise ProviderError(
        _REASONS.get(status, Reason.SERVER_ERROR if server_error else Reason.REFUSED),
        _told(status, answer),
        retry_after_s=_retry_after_s(response, answer),
        may_have_happened=server_error or status == 408,
    )


def _told(status: int, answer: JsonValue) -> str:
    """The status and the provider's own words."""
    words = (
        [str(answer[key]) for key in ("title", "detail", "error") if answer.get(key)]
        if isinstance(answer, dict)
        else []
    )
    return ": ".join([f"status {status}", *words])[:_MOST_DETAIL]


def _retry_after_s(response: httpx.Response, answer: JsonValue) -> float | None:
    """``Retry-After`` as seconds or as a date; without it what the body of a 429 says in words."""
    asked = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
    if asked is not None:
        return asked
    if response.status_code == 429 and isinstance(answer, dict):
        told = _RESETS_IN.search(str(answer.get("detail")))
        return None if told is None else float(told[1])
    return None
