"""Three nats-servers on loopback that form a cluster, each of which can be killed and started again."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from adapters.nats.server.server_process import server_binary
from tests.support.daemons import eventually
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

SIZE: Final = 3
_CONFIG: Final = """
server_name: "{name}"
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{http}"
max_payload: 8MB
jetstream {{ store_dir: "{store}", sync_interval: always }}
cluster {{ name: "headgate", listen: "127.0.0.1:{route}", routes: [{routes}] }}
"""


class Cluster:
    """The servers, by number from 0."""

    def __init__(self, folder: Path) -> None:
        ports = [free_port() for _ in range(3 * SIZE)]
        self._ports, self._http, self._routes = ports[:SIZE], ports[SIZE : 2 * SIZE], ports[2 * SIZE :]
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """All servers, as headgate's ``nats.url`` takes them."""
        return ",".join(self.urls)

    @property
    def urls(self) -> list[str]:
        return [f"nats://127.0.0.1:{port}" for port in self._ports]

    def start(self, number: int) -> None:
        home = self._folder / f"n{number}"
        home.mkdir(parents=True, exist_ok=True)
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
        config = home / "server.conf"
        config.write_text(
            _CONFIG.format(
                name=f"n{number}",
                port=self._ports[number],
                http=self._http[number],
                route=self._routes[number],
                routes=routes,
                store=home,
            )
        )
        command = [str(server_binary()), "-c", str(config)]
        with (home / "server.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(command, stdout=log, stderr=log)

    def pid(self, number: int) -> int | None:
        """The process of a server; None where it is not running."""
        process = self._processes.get(number)
        return process.pid if process is not None and process.poll() is None else None

    def kill(self, number: int) -> None:
        """SIGKILL: it gets no chance to hand its leadership on."""
        self._processes[number].kill()
        self._processes[number].wait(PATIENCE_S)

    def wait_healthy(self, within_s: float = PATIENCE_S) -> None:
        """Until every server that runs has a leader and is caught up."""
        deadline = time.monotonic() + within_s
        for number, process in self._processes.items():
            if process.poll() is None:
                eventually(partial(self._healthy, number), within_s=deadline - time.monotonic())

    def leader(self, stream: str) -> int:
        """The number of the server that leads a stream, once one does."""
        return int(eventually(lambda: self._leader(stream)).removeprefix("n"))

    def end(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _healthy(self, number: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http[number]}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _leader(self, stream: str) -> str:
        running = [number for number, process in self._processes.items() if process.poll() is None]
        told = (self._leader_as_told_by(number, stream) for number in running)
        return next(filter(None, told), "")

    def _leader_as_told_by(self, number: int, stream: str) -> str | None:
        address = f"http://127.0.0.1:{self._http[number]}/jsz?accounts=1&streams=1"
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                told = json.load(answer)
        except (urllib.error.URLError, OSError):
            return None
        for account in told.get("account_details", []):
            for each in account.get("stream_detail", []):
                if each["name"] == stream and each.get("cluster", {}).get("leader"):
                    return str(each["cluster"]["leader"])
        return None


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    with cluster_of(SIZE, folder) as cluster:
        cluster.wait_healthy()
        yield cluster


@contextmanager
def cluster_of(running: int, folder: Path) -> Iterator[Cluster]:
    """The first *running* servers of a cluster, just started; the cluster is not formed before all of them run."""
    cluster = Cluster(folder)
    try:
        for number in range(running):
            cluster.start(number)
        yield cluster
    finally:
        cluster.end()
