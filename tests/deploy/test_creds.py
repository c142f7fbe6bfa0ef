"""A daemon on a server that knows its users by signed tokens (.creds files), and one file put in another's place."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import nkeys
import pytest

from adapters.nats.server.server_process import server_binary
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, eventually
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

_JETSTREAM: Final = ("mem_storage", "disk_storage", "streams", "consumer")
_NO_LIMIT: Final = dict.fromkeys(("subs", "conn", "leaf", "imports", "exports", "data", "payload", *_JETSTREAM), -1)


def key(kind: int) -> nkeys.KeyPair:
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), kind))


def name_of(pair: nkeys.KeyPair) -> str:
    return bytes(pair.public_key).decode()


def token(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, name: str, claims: dict[str, object]) -> str:
    """A token as nsc makes it."""
    said: dict[str, object] = {"iat": int(time.time()), "iss": name_of(issuer), "sub": name_of(subject), "name": name}
    said |= {"nats": {**claims, "version": 2}, "jti": ""}
    digest = hashlib.sha256(json.dumps(said).encode()).digest()
    said["jti"] = base64.b32encode(digest).decode().rstrip("=")
    parts = [_encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, said)]
    signed = ".".join(parts)
    return f"{signed}.{_encoded(issuer.sign(signed.encode()))}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Tower:
    """An operator with one account for headgate, and the server that trusts it."""

    folder: Path
    operator: nkeys.KeyPair
    account: nkeys.KeyPair
    system: nkeys.KeyPair
    pid: int = 0

    def write(self, revoked: "dict[str, int] | None" = None) -> None:
        limits: dict[str, object] = {**_NO_LIMIT, "wildcards": True}
        ours = token(
            self.operator, self.account, "headgate", {"type": "account", "limits": limits, "revocations": revoked or {}}
        )
        plain = {name: limit for name, limit in limits.items() if name not in _JETSTREAM}
        system = token(self.operator, self.system, "SYS", {"type": "account", "limits": plain})
        (self.folder / "server.conf").write_text(
            f'listen: "127.0.0.1:-1"\nports_file_dir: "{self.folder}"\nmax_payload: 8MB\n'
            f'jetstream {{ store_dir: "{self.folder}/store" }}\n'
            f"operator: {self.itself}\nsystem_account: {name_of(self.system)}\nresolver: MEMORY\n"
            f"resolver_preload {{ {name_of(self.account)}: {ours}\n {name_of(self.system)}: {system} }}\n"
        )

    @cached_property
    def itself(self) -> str:
        """Made once: a server that is told of another operator has to be started again."""
        claims: dict[str, object] = {"type": "operator", "system_account": name_of(self.system)}
        return token(self.operator, self.operator, "operator", claims)

    def user(self, name: str) -> tuple[nkeys.KeyPair, str]:
        """A user, and what stands in its file."""
        pair = key(nkeys.PREFIX_BYTE_USER)
        limits: dict[str, object] = {"subs": -1, "data": -1, "payload": -1}
        signed = token(self.account, pair, name, {"type": "user", "issuer_account": name_of(self.account), **limits})
        seed = bytes(pair.seed).decode()
        return pair, (
            f"-----BEGIN NATS USER JWT-----\n{signed}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )

    def revoke(self, pair: nkeys.KeyPair) -> None:
        self.write({name_of(pair): int(time.time())})
        os.kill(self.pid, signal.SIGHUP)


@contextmanager
def trusting_server(folder: Path) -> Iterator[tuple[Tower, str]]:
    folder.mkdir()
    kinds = (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_ACCOUNT)
    tower = Tower(folder, *map(key, kinds))
    tower.write()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([str(server_binary()), "-c", str(folder / "server.conf")], stdout=log, stderr=log)
    tower.pid = process.pid
    try:
        ports = eventually(lambda: next(folder.glob("*.ports"), None))
        assert ports is not None, (folder / "server.log").read_text()
        yield tower, json.loads(eventually(ports.read_text))["nats"][0]
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_one_creds_file_is_put_in_the_place_of_another_and_the_old_user_revoked(tmp_path: Path) -> None:
    with trusting_server(tmp_path / "server") as (tower, url):
        old, first = tower.user("daemon-a")
        _, second = tower.user("daemon-b")
        file = tmp_path / "daemon.creds"
        file.write_text(first)
        settings = f'[nats]\nmode = "external"\nurl = "{url}"\ncredentials = "{file}"\n'
        daemon = DaemonProcess(tmp_path / "home", settings)
        try:
            daemon.start()
            assert daemon.events("ready")
            file.write_text(second)
            assert daemon.terminate() == 0
            daemon.start()
            time.sleep(1.1)  # a revocation is of whole seconds
            tower.revoke(old)
            eventually(lambda: get(f"{daemon.http_url}/readyz")[0] == 200)
            file.write_text(first)
            assert daemon.terminate() == 0
            daemon.start(wait=False)
            assert daemon.wait_end() == 1
            assert "Authorization Violation" in str(daemon.logs[-1])
        finally:
            daemon.end()
