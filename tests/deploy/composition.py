"""deploy/compose.yaml without containers: its services by its own words, the very files of deploy/ at their places.

Run as root in namespaces of its own, on a root file system that forgets what is written to it; ports and names are the
composition's, so nothing of the machine is in the way or touched:

    unshare --mount --net --fork python -m tests.deploy.composition FOLDER [ALERT ...]

What it saw is printed as JSON. Named alerts are waited for until Alertmanager has told its receiver of them.
"""

import base64
import fcntl
import json
import os
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import jwt
import yaml

from adapters.nats.server.server_process import server_binary
from tests.support.daemons import eventually
from tests.support.databases import PostgresServer, postgres_server
from tests.support.records.usage_records import envelope, lines
from tests.support.starts.programs import HEADGATE

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
SERVICES: Final = ("nats", "postgres", "headgate", "bridge", "prometheus", "alertmanager")
_WAIT_S: Final = 120.0
_UP: Final = 0x1
_SET_FLAGS: Final = 0x8914
_BRIDGE: Final = """
[bridge.replicate]
base_url = "http://127.0.0.1:1"
work = ["job.render"]
[bridge.replicate.models."job.render"]
model = "owner/name"
"""
# What an image's own entry point is, where the composition does not say.
_PROGRAMS: Final[Mapping[str, list[str]]] = {
    "nats": [str(server_binary())],
    "headgate": [str(HEADGATE)],
    "bridge": [str(HEADGATE)],
    "prometheus": [
        "prometheus",
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--web.listen-address=127.0.0.1:9090",
    ],
    "alertmanager": [
        "prometheus-alertmanager",
        "--config.file=/etc/alertmanager/alertmanager.yml",
        "--storage.path=/alertmanager",
        "--cluster.listen-address=",
    ],
}
_OF_IMAGES: Final[Mapping[str, dict[str, str]]] = {
    "headgate": {"HEADGATE_HTTP__HOST": "0.0.0.0"},
    "bridge": {"HEADGATE_HTTP__HOST": "0.0.0.0"},
    "postgres": {"PGHOST": "127.0.0.1"},
}
_COMMANDS: Final = {"headgate": ["serve", "--config", "/etc/headgate/config.toml"]}


def forgetful_root(folder: Path) -> None:
    """Go on in a root file system whose changes lie in memory; what is below *folder* is kept."""
    over, merged = folder / "over", folder / "root"
    for place in (over, merged):
        place.mkdir()
    mount("-t", "tmpfs", "tmpfs", str(over))
    for place in (over / "upper", over / "work"):
        place.mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={over}/upper,workdir={over}/work", str(merged))
    for shared in ("/proc", "/dev", "/sys", str(folder.parent)):
        (merged / shared.lstrip("/")).mkdir(parents=True, exist_ok=True)
        mount("--rbind", shared, str(merged / shared.lstrip("/")))
    os.chroot(merged)
    os.chdir("/")
    for made in ("/data", "/prometheus", "/alertmanager", "/var/lib/headgate/backups", "/dev/shm"):
        Path(made).mkdir(parents=True, exist_ok=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))


class Names(socketserver.BaseRequestHandler):
    """A name server as a container engine has it: services are here, nothing else is."""

    def handle(self) -> None:
        question, reply_to = self.request
        end = question.index(b"\0", 12) + 5
        labels, at = [], 12
        while (length := question[at]) and at < end:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        known = labels[0] in SERVICES and question[end - 4 : end - 2] == b"\0\x01"
        code = 0x8180 if labels[0] in SERVICES else 0x8183
        head = question[:2] + struct.pack("!HHHHH", code, 1, int(known), 0, 0) + question[12:end]
        answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton("127.0.0.1")
        reply_to.sendto(head + (answer if known else b""), self.client_address)


class Receiver(BaseHTTPRequestHandler):
    """Where alerts go, at the very address of alertmanager.yml."""

    told: Final[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.told.extend(said["alerts"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()


def variables() -> dict[str, str]:
    """A value for each variable that the composition reads."""
    names = re.findall(r"^(\w+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE)
    secret = "whsec_" + base64.b64encode(b"composition secret, 32 bytes long").decode()
    special = {"CALLBACK_SECRET": secret, "JWT_SECRET": "j" * 40, "REPLICATE_TOKEN": "r8_none"}
    return {name: special.get(name, f"p{name.lower().replace('_', '')}1") for name in names}


class Composition:
    """The services, started in order, each in its own words."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.given = variables()
        text = (DEPLOY / "compose.yaml").read_text()
        filled = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: self.given[found[1]], text)
        self.services: dict[str, Any] = yaml.safe_load(filled)["services"]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def place_files(self) -> None:
        """What the composition and the image put where."""
        for name in SERVICES:
            for volume in self.services[name].get("volumes", ()):
                source, target, *_ = volume.split(":")
                if source.startswith("./") and (DEPLOY / source).exists():
                    _copy(DEPLOY / source, Path(target))
        _copy(DEPLOY / "systemd" / "config.toml", Path("/etc/headgate/config.toml"))
        Path("/etc/headgate/bridge.toml").write_text(_BRIDGE)
        _copy(DEPLOY / "container" / "headgate-ready", Path("/usr/local/bin/headgate-ready"))
        Path("/usr/local/bin/headgate-ready").chmod(0o755)
        Path("/opt/headgate").symlink_to(HEADGATE.parents[1])
        Path("/etc/hosts").write_text(f"127.0.0.1 localhost {' '.join(SERVICES)}\n")
        Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")

    def environment(self, name: str) -> dict[str, str]:
        path = f"{HEADGATE.parent}:{os.environ['PATH']}"
        own = {key: str(value) for key, value in self.services[name].get("environment", {}).items()}
        return {"PATH": path, "HOME": "/root", **_OF_IMAGES.get(name, {}), **own}

    def start(self, name: str) -> None:
        command = self.services[name].get("command", _COMMANDS.get(name, []))
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*_PROGRAMS[name], *command], env=self.environment(name), stdout=log, stderr=subprocess.STDOUT, cwd="/"
            )
        self.processes[name] = process
        self._stack.callback(_end, process)

    def is_healthy(self, name: str) -> bool:
        """What the composition's own health check says."""
        how, *command = self.services[name]["healthcheck"]["test"]
        asked = command if how == "CMD" else ["sh", "-c", command[0]]
        return subprocess.run(asked, env=self.environment(name), capture_output=True, check=False).returncode == 0

    def until_healthy(self, name: str) -> None:
        eventually(lambda: self.is_healthy(name), within_s=_WAIT_S)

    def headgate(self, *arguments: str, stdin: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        token = jwt.encode({"sub": "operator", "scope": "ops:read", "exp": int(time.time()) + 600}, "j" * 40, "HS256")
        environment = self.environment("headgate") | {"HEADGATE_TOKEN": token, **more}
        return subprocess.run(
            [str(HEADGATE), *arguments], input=stdin, env=environment, capture_output=True, text=True, check=False
        )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def listen(postgres: PostgresServer, password: str) -> None:
    """Have it listen as its image does, with the composition's user and database."""
    postgres.execute(f"CREATE ROLE headgate LOGIN PASSWORD '{password}'")
    postgres.execute("CREATE DATABASE headgate OWNER headgate ENCODING 'UTF8' TEMPLATE template0")
    postgres.stop()
    postgres.start(listen="127.0.0.1")


def asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def targets() -> dict[str, str]:
    """Whom Prometheus scrapes, and how that goes."""
    try:
        found = asked("http://127.0.0.1:9090/api/v1/targets")["data"]["activeTargets"]
    except OSError:
        return {}
    return {each["labels"]["job"]: each["health"] for each in found}


def main(folder: Path, alerts: list[str]) -> None:
    loopback_up()
    forgetful_root(folder)
    with ExitStack() as stack:
        composition = Composition(folder, stack)
        composition.place_files()
        stack.enter_context(serving(socketserver.ThreadingUDPServer(("127.0.0.1", 53), Names)))
        stack.enter_context(serving(ThreadingHTTPServer(("127.0.0.1", 9), Receiver)))
        postgres = stack.enter_context(postgres_server())
        os.environ["PATH"] += f":{postgres.programs}"
        listen(postgres, composition.given["POSTGRES_PASSWORD"])
        composition.start("nats")
        for name in ("nats", "postgres"):
            composition.until_healthy(name)
        composition.start("headgate")
        composition.until_healthy("headgate")
        for name in ("bridge", "alertmanager", "prometheus"):
            composition.start(name)
        seen = look(composition, alerts)
    sys.stdout.write(json.dumps(seen))


def look(composition: Composition, alerts: list[str]) -> dict[str, object]:
    health = composition.headgate("ops", "health-check", "--json", "--config", "/etc/headgate/config.toml")
    eventually(lambda: list(targets().values()) == ["up", "up"], within_s=_WAIT_S)
    # The counter has to be seen before it rises.
    time.sleep(2)
    secret = composition.given["NATS_PRODUCER_PASSWORD"]
    published = composition.headgate(
        *("publish", "--json", "--nats-url", f"nats://producer:{secret}@nats:4222"),
        stdin=lines(envelope("composition:1", model="a model that nobody has a price for")),
        HEADGATE_LIMITS__REPLY_PREFIXES='["_INBOX.producer."]',
    )
    if "HeadgateDown" in alerts:
        eventually(lambda: "HeadgateUsageUnpriced" in told(), within_s=_WAIT_S)
        composition.processes["headgate"].terminate()
    eventually(lambda: set(alerts) <= told(), within_s=_WAIT_S)
    return {
        "unwell": unwell(health),
        "published": json.loads(published.stdout or "{}").get("accepted", published.stderr),
        "targets": targets(),
        "alerts": sorted(told()),
    }


def unwell(health: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """Which dependencies are not healthy, and why."""
    found = json.loads(health.stdout or "{}").get("dependencies", {"no answer": {"detail": health.stderr}})
    return {name: each["detail"] for name, each in found.items() if each.get("status") != "healthy"}


def told() -> set[str]:
    return {alert["labels"]["alertname"] for alert in Receiver.told}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
