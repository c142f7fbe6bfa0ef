"""Bearer tokens: JSON Web Tokens become principals, by keys that are configured and by nothing that the token says.

An algorithm is accepted only with the keys configured for it: HS256 with a shared secret, EdDSA with a public key.
There may be several of each, so that a key is changed while tokens of the old one are still good. Whatever is wrong
with a token is answered in the same words, so that an attacker does not learn how far a forgery came.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeGuard

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from contracts.errors import ErrorCode, Problem, problem
from contracts.values.principals import Principal, Scope
from contracts.values.times import MICROS_PER_SECOND

AUTHORIZATION: Final = "Authorization"
LEAST_SECRET_BYTES: Final = 32

_HS256: Final = "HS256"
_EDDSA: Final = "EdDSA"
_MOST_TOKEN_CHARACTERS: Final = 8_192
_MOST_OWNER_CHARACTERS: Final = 200
_SCOPES: Final[Mapping[str, Scope]] = {str(scope): scope for scope in Scope}

_PublicKey: TypeAlias = Ed25519PublicKey | Ed448PublicKey
_Key: TypeAlias = bytes | _PublicKey


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """What tokens are checked with. At least one key; ``issuer`` and ``audience`` are demanded where given."""

    jwt_secrets: tuple[str, ...] = ()
    jwt_public_keys: tuple[str, ...] = ()
    issuer: str | None = None
    audience: str | None = None
    leeway_s: float = 0

    def __repr__(self) -> str:
        return f"TokenKeys(issuer={self.issuer!r}, audience={self.audience!r}, keys redacted)"


class UnusableKey(ValueError):
    """A configured key cannot check tokens; the message never repeats it."""


@dataclass(frozen=True, slots=True)
class _Proven:
    """A token that was checked, and until when it speaks for its principal (seconds since the epoch)."""

    principal: Principal
    not_before: float
    expires_at: float


class TokenAuthenticator:
    """Checks signature, ``exp``, ``nbf``, ``iat``, ``iss``, ``aud`` and demands ``sub`` and ``exp``.

    A token that was checked is remembered until it expires (by its digest, at most ``most_remembered`` of them), for a
    caller sends the same one thousands of times. Raises :class:`UnusableKey` for keys that cannot check tokens.
    """

    def __init__(self, keys: TokenKeys, *, most_remembered: int = 1_024) -> None:
        self._keys: Final = _keys_by_algorithm(keys)
        self._issuer: Final = keys.issuer
        self._audience: Final = keys.audience
        self._leeway_s: Final = keys.leeway_s
        self._most_remembered: Final = most_remembered
        self._remembered: OrderedDict[bytes, _Proven] = OrderedDict()

    def authenticate(self, headers: Mapping[str, str], now: int) -> Principal | Problem:
        """The principal of ``Authorization: Bearer …``, or ``UNAUTHENTICATED``; ``now`` in microseconds."""
        token = _bearer(headers)
        if token is None:
            return UNAUTHENTICATED
        digest = hashlib.sha256(token).digest()
        proven = self._remembered.get(digest)
        if proven is None:
            if (proven := self._prove(token)) is None:
                return UNAUTHENTICATED
            self._remember(digest, proven)
        else:
            self._remembered.move_to_end(digest)
        if not self._in_force(proven, now / MICROS_PER_SECOND):
            self._remembered.pop(digest, None)
            return UNAUTHENTICATED
        return proven.principal

    def _prove(self, token: bytes) -> _Proven | None:
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        # Never the token's own word: it names some of our keys, and only their algorithm is tried.
        keys = self._keys.get(algorithm, ()) if isinstance(algorithm, str) else ()
        claims = (self._claims(token, key) for key in keys)
        return next((_proven(found) for found in claims if found is not None), None)

    def _claims(self, token: bytes, key: _Key) -> Mapping[str, object] | None:
        """What the token says, where this key has signed it and issuer and audience are right."""
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[_HS256 if isinstance(key, bytes) else _EDDSA],
                issuer=self._issuer,
                audience=self._audience,
                # Times are judged by the instant that the caller names, not by this process's clock: what waited out an
                # outage is as valid as when it was stored.
                options={"require": ["sub", "exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None

    def _in_force(self, proven: _Proven, now_s: float) -> bool:
        return proven.not_before - self._leeway_s <= now_s < proven.expires_at + self._leeway_s

    def _remember(self, digest: bytes, proven: _Proven) -> None:
        self._remembered[digest] = proven
        if len(self._remembered) > self._most_remembered:
            self._remembered.popitem(last=False)


def _keys_by_algorithm(keys: TokenKeys) -> dict[str, tuple[_Key, ...]]:
    secrets = tuple(secret.encode() for secret in keys.jwt_secrets)
    if any(len(secret) < LEAST_SECRET_BYTES for secret in secrets):
        raise UnusableKey(f"a token secret should have at least {LEAST_SECRET_BYTES} bytes")
    if not secrets and not keys.jwt_public_keys:
        raise UnusableKey("a token secret or a public key is needed")
    return {_HS256: secrets, _EDDSA: tuple(map(_public_key, keys.jwt_public_keys))}


def _public_key(pem: str) -> _PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey("a public key should be in PEM form") from None
    if not isinstance(key, Ed25519PublicKey | Ed448PublicKey):
        raise UnusableKey("a public key should be an Ed25519 or Ed448 key")
    return key


def _bearer(headers: Mapping[str, str]) -> bytes | None:
    value = headers.get(AUTHORIZATION)
    if value is None:
        value = next((headers[name] for name in sorted(headers) if name.lower() == AUTHORIZATION.lower()), "")
    scheme, _, token = value.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.isascii() or not 0 < len(token) <= _MOST_TOKEN_CHARACTERS:
        return None
    return token.encode()


def _proven(claims: Mapping[str, object]) -> _Proven | None:
    owner, scope = claims["sub"], claims.get("scope", "")
    if not isinstance(owner, str) or not isinstance(scope, str):
        return None
    if not 0 < len(owner) <= _MOST_OWNER_CHARACTERS or not owner.isprintable():
        return None
    expires_at, not_before, issued_at = claims["exp"], claims.get("nbf", 0), claims.get("iat", 0)
    if not (_is_instant(expires_at) and _is_instant(not_before) and _is_instant(issued_at)):
        return None
    scopes = frozenset(_SCOPES[word] for word in scope.split(" ") if word in _SCOPES)
    return _Proven(Principal(owner, scopes), max(not_before, issued_at), expires_at)


def _is_instant(claim: object) -> TypeGuard[int | float]:
    """Seconds that lie in the years 1 to 9999, as all times here do; no claim may be true, NaN or infinite."""
    return isinstance(claim, int | float) and not isinstance(claim, bool) and _FIRST_S <= claim < _END_S


_FIRST_S: Final = -62_135_596_800
_END_S: Final = 253_402_300_800
UNAUTHENTICATED: Final = problem(ErrorCode.UNAUTHENTICATED, "a valid bearer token is needed")
