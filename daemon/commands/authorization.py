"""Who calls, and whether they may: authentication, scope, rate, in this order."""

from collections.abc import Mapping
from typing import Final, Protocol

from contracts.errors import JsonObject, Problem
from contracts.values.principals import LOCAL, Principal
from daemon.errors import StartError
from daemon.settings.model import Settings
from domain.access import may, required_scope
from domain.rate_limits import Rate, RateLimits


class Authenticator(Protocol):
    """Tells the principal from a request's headers; ``now`` in microseconds since the epoch."""

    def authenticate(self, headers: Mapping[str, str], now: int) -> Principal | Problem: ...


class Anyone:
    """Authentication is off: every caller is ``local``, with every scope. Only where NATS is on a loopback address."""

    def authenticate(self, headers: Mapping[str, str], now: int) -> Principal | Problem:  # noqa: ARG002 - the port's shape
        return LOCAL


class Authorization:
    """Lets a call in, or says why not. *own* are limits of single commands, beside the one of all together."""

    def __init__(
        self,
        authenticator: Authenticator,
        limits: RateLimits,
        strangers: RateLimits,
        own: Mapping[str, RateLimits] | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._limits = limits
        self._strangers = strangers
        self._own = dict(own or {})

    def turn_away(self, headers: Mapping[str, str], now: int) -> Problem | None:
        """Refuse unread what nobody vouches for, while there is more of it than ``limits.unauthenticated_per_second``:
        all those without a valid token share one rate. None where the request is to be looked at."""
        if isinstance(self._authenticator.authenticate(headers, now), Principal):
            return None
        return self._strangers.admit(_STRANGERS, now)

    def knows(self, headers: Mapping[str, str], now: int) -> bool:
        """Whether the caller has a valid token."""
        return isinstance(self._authenticator.authenticate(headers, now), Principal)

    def admit(self, name: str, payload: JsonObject, headers: Mapping[str, str], now: int) -> Principal | Problem:
        """The principal of a call of the command *name* whose *payload* is not proven yet."""
        principal = self._authenticator.authenticate(headers, now)
        if isinstance(principal, Problem):
            return principal
        scope = required_scope(name, payload.get("action"))
        refused = may(principal, scope) or self._limits.admit(principal.owner, now)
        if refused is None and (own := self._own.get(name)) is not None:
            refused = own.admit(principal.owner, now)
        return refused or principal


def token_authenticator(settings: Settings) -> Authenticator:
    """With the keys of the settings. Raises :class:`StartError` for a key that cannot check tokens."""
    from adapters.tokens import TokenAuthenticator, TokenKeys, UnusableKey  # only where tokens are asked for

    auth = settings.auth
    keys = TokenKeys(
        jwt_secrets=tuple(
            secret for key in (auth.jwt_secret, *auth.old_jwt_secrets) if (secret := key.get_secret_value())
        ),
        jwt_public_keys=tuple(pem for pem in (auth.jwt_public_key, *auth.old_jwt_public_keys) if pem),
        issuer=auth.issuer or None,
        audience=auth.audience or None,
        leeway_s=auth.leeway_s,
    )
    try:
        return TokenAuthenticator(keys)
    except UnusableKey as error:
        raise StartError(f"auth: {error}") from None


def make_authenticator(settings: Settings) -> Authenticator:
    """Who tells callers of commands apart. Raises as :func:`token_authenticator` does."""
    return Anyone() if settings.auth.mode == "none" else token_authenticator(settings)


def make_authorization(settings: Settings) -> Authorization:
    """The authorization of commands. Raises :class:`StartError` for a key that cannot check tokens."""
    limits = settings.limits
    return Authorization(
        make_authenticator(settings),
        RateLimits(Rate(limits.commands_per_second, 1)),
        RateLimits(Rate(limits.unauthenticated_per_second, 1)),
        {"asset.begin-upload": RateLimits(Rate(limits.uploads_per_minute, 60))},
    )


_STRANGERS: Final = ""
