"""A NATS server in operator mode, as larger installations have it: users are JSON Web Tokens that accounts signed."""

import base64
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nkeys

_UNLIMITED: Final = dict.fromkeys(
    ["subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams"], -1
)


@dataclass(frozen=True, slots=True)
class Key:
    seed: bytes

    @property
    def pair(self) -> nkeys.KeyPair:
        return nkeys.from_seed(bytearray(self.seed))

    @property
    def public(self) -> str:
        return str(self.pair.public_key.decode())


def new_key(prefix: int) -> Key:
    return Key(bytes(nkeys.encode_seed(os.urandom(32), prefix)))


def token(issuer: Key, subject: Key, name: str, claims: dict[str, Any]) -> str:
    body = {"jti": name, "iat": int(time.time()), "iss": issuer.public, "name": name, "sub": subject.public}
    parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, {**body, "nats": {**claims, "version": 2}}]
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_encoded(issuer.pair.sign(signed.encode()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Operator:
    """An operator with the server's own account and one for headgate."""

    def __init__(self) -> None:
        self._operator = new_key(nkeys.PREFIX_BYTE_OPERATOR)
        self._system = new_key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._account = new_key(nkeys.PREFIX_BYTE_ACCOUNT)

    def configuration(self) -> str:
        """What the server's configuration says of them."""
        own = token(self._operator, self._operator, "op", {"type": "operator", "system_account": self._system.public})
        accounts = {
            key.public: token(self._operator, key, name, {"type": "account", "limits": {**_UNLIMITED, **limits}})
            for key, name, limits in (
                (self._system, "SYS", {"mem_storage": 0, "disk_storage": 0, "streams": 0}),
                (self._account, "PIPELINE", {"consumer": -1, "wildcards": True}),
            )
        }
        preload = "\n".join(f"{public}: {jwt}" for public, jwt in accounts.items())
        return (
            f"operator: {own}\nsystem_account: {self._system.public}\nresolver: MEMORY\n"
            f"resolver_preload: {{\n{preload}\n}}"
        )

    def user(self, name: str, **claims: Any) -> tuple[str, Key]:
        """A user of headgate's account: the token, and the key that answers the server's challenge."""
        key = new_key(nkeys.PREFIX_BYTE_USER)
        limits = {"subs": -1, "data": -1, "payload": -1}
        return token(self._account, key, name, {"type": "user", **limits, **claims}), key

    def credentials(self, path: Path, name: str, **claims: Any) -> Path:
        """A ``.creds`` file of a new user."""
        jwt, key = self.user(name, **claims)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{key.seed.decode()}\n------END USER NKEY SEED------\n"
        )
        path.chmod(0o600)
        return path
