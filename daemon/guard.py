"""Who calls, and whether they may: authentication, scope, rate, in this order."""

from collections.abc import Mapping
from typing import Protocol

from contracts.errors import Problem
from contracts.principals import Principal


class Authenticator(Protocol):
    """Tells the principal from a request's headers."""

    def authenticate(self, headers: Mapping[str, str], *, now: int) -> Principal | Problem: ...


class Limiter(Protocol):
    """Spends one call of a principal, or says when there will be one."""

    def spend(self, principal: Principal, *, now: int) -> Problem | None: ...


class Access(Protocol):
    """The scope rule of a command."""

    def __call__(self, name: str, principal: Principal) -> Problem | None: ...


class Guard:
    """Lets a call in, or says why not."""

    def __init__(self, authenticator: Authenticator, access: Access, limiter: Limiter) -> None:
        self._authenticator = authenticator
        self._access = access
        self._limiter = limiter

    def admit(self, name: str, headers: Mapping[str, str], now: int) -> Principal | Problem:
        principal = self._authenticator.authenticate(headers, now=now)
        if isinstance(principal, Problem):
            return principal
        return self._access(name, principal) or self._limiter.spend(principal, now=now) or principal
