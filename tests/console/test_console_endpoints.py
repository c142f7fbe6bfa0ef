"""The console over HTTP against the real daemon: the page's files, its headers, the exchange of a code, the WebSocket's
user. The page itself is looked at by the tests with a browser."""

import asyncio
import base64
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import nats
import pytest
from nats.aio.msg import Msg

from daemon.http.console import STATIC
from tests.console.browsing import headgate, printed_link, sign_in_link
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {ws}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@pytest.fixture
def http(daemon: DaemonProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=daemon.http_url, trust_env=False) as client:
        yield client


def code_of(url: str) -> str:
    return url.partition("#in=")[2]


def test_the_printed_link_leads_to_the_page_and_is_good_once(daemon: DaemonProcess, http: httpx.Client) -> None:
    url = printed_link(daemon)
    assert re.fullmatch(rf"{re.escape(daemon.http_url)}/console/#in=[A-Za-z0-9_-]{{43}}", url)

    first = http.post("/console/session", json={"code": code_of(url)}, headers={"origin": daemon.http_url})
    again = http.post("/console/session", json={"code": code_of(url)}, headers={"origin": daemon.http_url})

    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    assert first.json().keys() == {"user", "password", "ws_url"}
    assert again.status_code == 401


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}, {"origin": "null"}], ids=str
)
def test_a_foreign_page_gets_nothing_and_the_code_stays(
    daemon: DaemonProcess, http: httpx.Client, headers: dict[str, str]
) -> None:
    code = code_of(sign_in_link(daemon))

    assert http.post("/console/session", json={"code": code}, headers=headers).status_code == 403
    assert http.post("/console/session", json={"code": code}).status_code == 200


def test_only_json_is_taken_and_only_by_post(http: httpx.Client) -> None:
    assert http.get("/console/session").status_code == 405
    assert http.post("/console/session", content=b"code=x", headers={"content-type": "text/plain"}).status_code == 415


def test_the_code_stands_in_no_log_and_no_row_of_the_audit(daemon: DaemonProcess) -> None:
    code = code_of(sign_in_link(daemon))
    runs = headgate(daemon, "ops", "runs", "--param", "operation=console-link", "--json")
    assert json.loads(runs)["items"]
    assert code not in runs
    assert code not in json.dumps(daemon.logs)


def test_the_configuration_holds_no_secret(daemon: DaemonProcess, http: httpx.Client) -> None:
    told = http.get("/console/config.json").json()

    assert told.keys() == {"ws_url", "prefix", "inbox_prefix", "sign_in", "auth", "version"}
    assert told["sign_in"] == ["link"]
    password = (daemon.state_dir / "nats-console-password").read_text()
    assert password not in json.dumps(told)


def test_every_answer_has_the_headers_that_keep_the_page_in(http: httpx.Client) -> None:
    ws = http.get("/console/config.json").json()["ws_url"]
    for path in ("/console/", "/console/config.json", "/console/session"):
        headers = http.get(path).headers
        assert headers["content-security-policy"] == CSP.format(ws=ws), path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["permissions-policy"] == "camera=(), microphone=(), geolocation=(), usb=(), payment=()"


@pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: make console")
def test_every_file_that_the_build_wrote_is_served_and_no_other(http: httpx.Client) -> None:
    for file in STATIC.glob("*.*"):
        path = "/console/" if file.name == "index.html" else f"/console/{file.name}"
        answer = http.get(path)
        assert answer.content == file.read_bytes(), path
        assert http.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
        hashed = file.suffix in {".js", ".css"}
        assert ("immutable" in answer.headers["cache-control"]) is hashed
    for path in (
        "/console/app.tsx",
        "/console/..%2fconsole.py",
        "/console/../console.py",
        "/console/package.json",
        "/console/built-from",
    ):
        assert http.get(path).status_code == 404, path


def test_the_user_for_pages_is_refused_without_a_websocket(daemon: DaemonProcess) -> None:
    """Said in plain words: the client library would leave its socket open."""
    password = (daemon.state_dir / "nats-console-password").read_text()
    server = urlsplit(daemon.nats_url)
    hello = json.dumps({"user": "console", "pass": password, "verbose": False, "pedantic": False})
    with socket.create_connection((server.hostname or "", server.port or 0), timeout=PATIENCE_S) as connection:
        connection.sendall(f"CONNECT {hello}\r\nPING\r\n".encode())
        answers = connection.makefile("rb")
        assert answers.readline().startswith(b"INFO")
        assert b"Authorization Violation" in answers.readline()


def test_a_websocket_of_a_foreign_page_is_refused(http: httpx.Client) -> None:
    ws = urlsplit(http.get("/console/config.json").json()["ws_url"])
    own = str(http.base_url).rstrip("/")
    answers = {origin: _handshake(ws.port or 0, origin) for origin in (own, "https://evil.example")}
    assert answers == {own: 101, "https://evil.example": 403}


def _handshake(port: int, origin: str) -> int:
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: {origin}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        return int(connection.makefile("rb").readline().split()[1])


async def test_the_pulse_tells_the_figures_of_the_daemon_without_being_asked(daemon: DaemonProcess) -> None:
    nc = await nats.connect(daemon.nats_url)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(message: Msg) -> None:
        heard.put_nowait(message.data)

    await nc.subscribe("hg.pulse.*", cb=take)
    async with asyncio.timeout(PATIENCE_S):
        # The first pulses of a life come before its consumers were looked at.
        while not (envelope := json.loads(body := await heard.get()))["payload"]["consumers"]:
            pass
    await nc.close()

    assert envelope["kind"] == "pulse"
    assert len(body) <= 8 * 1024
    payload = envelope["payload"]
    assert payload["ready"] is True
    assert payload["lag_ms"] == {"p50": None, "p99": None}
    assert payload["dead_letters_open"] == 0
    assert payload["consumers"].keys() == {"headgate-ingest", "headgate-callback", "headgate-replay"}


def test_ten_wrong_codes_a_minute_are_enough(tmp_path: Path) -> None:
    with (
        running_daemon(tmp_path, '[nats]\nsync = "interval"\n') as own,
        httpx.Client(base_url=own.http_url, trust_env=False) as http,
    ):
        tries = [http.post("/console/session", json={"code": "wrong"}).status_code for _ in range(11)]
    assert tries == [401] * 10 + [429]


def test_a_page_off_loopback_without_a_websocket_address_is_no_console(tmp_path: Path) -> None:
    settings = '[nats]\nsync = "interval"\n[http]\nhost = "0.0.0.0"\n'
    with running_daemon(tmp_path, settings) as own:
        (said,) = own.events("no_console")
        port = urlsplit(own.http_url).port
        answer = httpx.get(f"http://127.0.0.1:{port}/console/", trust_env=False)
    assert "http.host" in str(said["reason"])
    assert answer.status_code == 404
    assert "http.host" in answer.text
