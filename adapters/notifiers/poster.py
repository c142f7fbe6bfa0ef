"""One HTTP POST to the one address that was configured, within a limited time."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import httpx

from adapters.notifiers.base import Refused, SendOutcome, Sent, TryAgain
from adapters.retry_after import retry_after_s

_WHOLE_S: Final = 10.0
"""For everything: an answer that drips byte by byte ends too."""
_MOST_BYTES: Final = 2_000
_MOST_DETAIL: Final = 200
_WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429})


class Poster:
    """Posts to ``url`` and to nothing else: redirects are not followed, and neither proxies nor ``.netrc`` of the
    environment are looked at. What it says of failures never repeats the address, which may be the secret."""

    def __init__(self, url: str, *, whole_s: float = _WHOLE_S) -> None:
        self._url = url
        self._whole_s = whole_s
        self._client = httpx.AsyncClient(
            headers={"user-agent": "headgate", "content-type": "application/json"},
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(whole_s),
        )

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> SendOutcome:
        """Never raises for what the other side or the network does."""
        try:
            async with (
                asyncio.timeout(self._whole_s),
                self._client.stream("POST", self._url, content=body, headers=dict(headers or {})) as response,
            ):
                return _outcome(response, b"" if response.is_success else await _beginning(response))
        except TimeoutError:
            return TryAgain("no answer in time")
        except httpx.TimeoutException:
            return TryAgain("no answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            return TryAgain(f"no connection: {type(error).__name__}")

    async def close(self) -> None:
        await self._client.aclose()


async def _beginning(response: httpx.Response) -> bytes:
    """As much of an error's body as is worth telling."""
    read = b""
    async for part in response.aiter_bytes():
        read += part
        if len(read) >= _MOST_BYTES:
            break
    return read[:_MOST_BYTES]


def _outcome(response: httpx.Response, said: bytes) -> SendOutcome:
    status = response.status_code
    if response.is_success:
        return Sent()
    if response.is_redirect or status < 400:
        return Refused(f"status {status}: redirects are not followed")
    words = said.decode("utf-8", "replace").strip()[:_MOST_DETAIL]
    reason = f"status {status}: {words}" if words else f"status {status}"
    if status >= 500 or status in _WORTH_ANOTHER_TRY:
        return TryAgain(reason, retry_after_s(response.headers.get("retry-after"), datetime.now(UTC)))
    return Refused(reason)
