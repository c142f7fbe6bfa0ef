"""URLs that stand for a right: a method on one path, until a moment, vouched for by an HMAC.

Whoever holds such a URL may do what it says and nothing else. The secrets are known to the daemons behind one address;
all of them are accepted, the first one signs: so a secret is changed by putting the new one in front.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct

from contracts.values.times import MICROS_PER_SECOND

_EXPIRES: Final = "expires"
_SIGNATURE: Final = "signature"
_ASSETS: Final = "/assets/"


class Method(StrEnum):
    """What a URL allows; who may get may ask for the head too."""

    GET = "GET"
    PUT = "PUT"


class SignedUrl(NamedTuple):
    """A URL and the moment at which it ends (microseconds since the epoch)."""

    url: str
    expires_at: int


class Links(Struct, frozen=True):
    """Makes and judges signed URLs below ``base_url``. ``leeway_s`` is how far clocks of daemons may be apart."""

    base_url: str
    secrets: tuple[bytes, ...]
    download_ttl_s: float = 3_600.0
    upload_ttl_s: float = 3_600.0
    leeway_s: float = 30.0

    def download(self, path: str, now: int) -> SignedUrl:
        return self._signed(Method.GET, path, now, self.download_ttl_s)

    def upload(self, path: str, expires_at: int) -> SignedUrl:
        """A URL that ends with what it uploads to."""
        return self._until(Method.PUT, path, expires_at // MICROS_PER_SECOND)

    def _signed(self, method: Method, path: str, now: int, ttl_s: float) -> SignedUrl:
        return self._until(method, path, now // MICROS_PER_SECOND + round(ttl_s))

    def _until(self, method: Method, path: str, expires: int) -> SignedUrl:
        query = urlencode({_EXPIRES: expires, _SIGNATURE: _sign(self.secrets[0], method, path, str(expires))})
        return SignedUrl(f"{self.base_url}{path}?{query}", expires * MICROS_PER_SECOND)

    def asset_of(self, url: str) -> str | None:
        """The asset whose download a URL of ours is, however old it is; None for any other URL."""
        if not url.startswith(f"{self.base_url}{_ASSETS}"):
            return None
        path, _, query = url.removeprefix(self.base_url).partition("?")
        return path.removeprefix(_ASSETS) if self._genuine(Method.GET, path, query) is not None else None

    def renewed(self, url: str, now: int) -> str:
        """A download URL of ours signed anew, however old it is; any other URL as it is.

        Only what we signed once is signed again: who writes an address of ours without having had the right gets none.
        """
        if not url.startswith(f"{self.base_url}/"):
            return url
        path, _, query = url.removeprefix(self.base_url).partition("?")
        return self.download(path, now).url if self._genuine(Method.GET, path, query) is not None else url

    def allows(self, method: Method, path: str, query: str, now: int) -> bool:
        """Whether *query* vouches for the method on the path at this moment."""
        expires = self._genuine(method, path, query)
        return expires is not None and self._in_time(expires, now)

    def _genuine(self, method: Method, path: str, query: str) -> int | None:
        """When a signature of ours ends, whenever that is; None where it is none. Takes the same time whatever is
        wrong."""
        given = dict(parse_qsl(query, max_num_fields=_MOST_FIELDS)) if query.count("&") < _MOST_FIELDS else {}
        expires, signature = given.get(_EXPIRES, ""), given.get(_SIGNATURE, "")
        genuine = False
        for secret in self.secrets:
            expected = _sign(secret, method, path, expires)
            genuine |= hmac.compare_digest(expected.encode(), signature.encode())
        return int(expires) if genuine and expires.isascii() and expires.isdigit() else None

    def _in_time(self, expires: int, now: int) -> bool:
        return now <= (expires + self.leeway_s) * MICROS_PER_SECOND


def _sign(secret: bytes, method: Method, path: str, expires: str) -> str:
    words = f"{method}\n{path}\n{expires}".encode()
    return urlsafe_b64encode(hmac.digest(secret, words, hashlib.sha256)).rstrip(b"=").decode()


_MOST_FIELDS: Final = 10
