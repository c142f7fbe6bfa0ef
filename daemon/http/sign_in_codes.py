"""One-time codes for signing in to the console: kept as hashes in memory, each good once and for a minute."""

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LIFETIME_S: Final = 60
MOST_CODES: Final = 5
MOST_BAD_TRIES: Final = 10
_TRIES_WINDOW_S: Final = 60
_MICROS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Issued:
    digest: bytes
    expires_at: int


class SignInCodes:
    """Issues codes and takes them. ``now`` is in microseconds since the epoch."""

    def __init__(self, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> None:
        self._make = make
        self._issued: deque[_Issued] = deque(maxlen=MOST_CODES)
        self._bad_tries: deque[int] = deque(maxlen=MOST_BAD_TRIES)

    def issue(self, now: int) -> tuple[str, int]:
        """A new code and when it ends. A sixth drops the oldest."""
        code = self._make()
        expires_at = now + LIFETIME_S * _MICROS
        self._issued.append(_Issued(_digest(code), expires_at))
        return code, expires_at

    def is_locked(self, now: int) -> bool:
        """Whether there were so many wrong codes in the last minute that none is looked at."""
        tries = self._bad_tries
        return len(tries) == MOST_BAD_TRIES and now - tries[0] < _TRIES_WINDOW_S * _MICROS

    def take(self, code: str, now: int) -> bool:
        """Whether *code* is good; it is used up then. All codes are compared, so that time tells nothing."""
        given = _digest(code)
        found = [each for each in self._issued if hmac.compare_digest(each.digest, given)]
        for each in found:
            self._issued.remove(each)
        good = any(each.expires_at > now for each in found)
        if not good:
            self._bad_tries.append(now)
        return good


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
