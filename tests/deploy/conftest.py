"""A nats-server that runs with the very accounts that deployments are given."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from adapters.nats.server.server_process import server_binary
from tests.support.daemons import eventually
from tests.support.waiting import PATIENCE_S

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ROLES: Final = ("daemon", "producer", "worker", "app", "listener", "bridge", "operator", "console", "sys")


def password(role: str) -> str:
    return f"{role}Password1"


def passwords() -> dict[str, str]:
    """The environment that the accounts are read with."""
    return {f"NATS_{role.upper()}_PASSWORD": password(role) for role in ROLES}


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, what it logs, and the accounts that it has."""

    address: str
    log: Path
    accounts: Path
    pid: int

    def url(self, role: str) -> str:
        return f"nats://{role}:{password(role)}@{self.address}"

    def reload(self) -> None:
        """Read the accounts again, as ``nats-server --signal reload`` has it do."""
        before = self.log.read_text().count("Reloaded server configuration")
        os.kill(self.pid, signal.SIGHUP)
        eventually(lambda: self.log.read_text().count("Reloaded server configuration") > before)

    @property
    def violations(self) -> list[str]:
        """What clients asked for and were not allowed."""
        return [line for line in self.log.read_text().splitlines() if "Violation" in line]


@pytest.fixture
def console_by_tcp(request: pytest.FixtureRequest) -> bool:
    """Whether the console's user may come by TCP: a test's client speaks no WebSocket."""
    return bool(getattr(request, "param", False))


@pytest.fixture
def accounts_server(tmp_path: Path, *, console_by_tcp: bool) -> Iterator[Server]:
    """A server of the test's own, with JetStream and deploy/nats/accounts.conf."""
    folder = tmp_path / "server"
    folder.mkdir()
    accounts = (DEPLOY / "nats" / "accounts.conf").read_text()
    if console_by_tcp:
        accounts = accounts.replace('allowed_connection_types: ["WEBSOCKET"]', "")
    (folder / "accounts.conf").write_text(accounts)
    config, output = folder / "nats-server.conf", folder / "server.log"
    config.write_text(
        f'listen: "127.0.0.1:-1"\nports_file_dir: "{folder}"\nmax_payload: 8MB\n'
        f'jetstream {{ store_dir: "{folder}" }}\nwebsocket {{ listen: "127.0.0.1:-1", no_tls: true }}\n'
        'include "accounts.conf"\n'
    )
    with output.open("wb") as log:
        command = [str(server_binary()), "-c", str(config)]
        process = subprocess.Popen(command, env=os.environ | passwords(), stdout=log, stderr=log)
    try:
        ports = eventually(lambda: next(folder.glob("*.ports"), None))
        assert ports is not None
        listening = json.loads(eventually(ports.read_text))
        yield Server(listening["nats"][0].removeprefix("nats://"), output, folder / "accounts.conf", process.pid)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
