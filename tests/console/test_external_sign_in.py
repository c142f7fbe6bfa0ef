"""Sign-in where the server is not ours: a credentials file, and a proxy that has signed its user in."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.browsing import Report, needs_browser
from tests.console.servers.external import ExternalServer, daemon_on
from tests.console.servers.nats_accounts import Operator
from tests.console.servers.signing_in_proxy import WEBSOCKET_PATH, SigningInProxy, running
from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.process, needs_browser]

FOR_PAGES = {
    "pub": {"allow": ["hg.cmd.>", "hg.ops.>", "$JS.API.DIRECT.GET.KV_HG_STATUS.>"]},
    "sub": {"allow": ["_INBOX.console.>", "hg.pulse.>", "hg.event.>", "$KV.HG_STATUS.>"]},
    "allowed_connection_types": ["WEBSOCKET"],
}


CALLBACKS = f'[callbacks]\nsecrets = ["whsec_{"YWFh" * 10}"]'


def live(page: "Page") -> None:
    page.get_by_role("status", name="Connection").get_by_text("live").wait_for()


def settings(server: ExternalServer, *, ws_url: str, page: str = "") -> str:
    public = f'public_url = "{page}"' if page else ""
    port = "" if page else f"[http]\nport = {server.page_port}\n"
    return f'[auth]\nmode = "none"\n{port}[console]\nws_url = "{ws_url}"\n{public}\n'


def test_a_credentials_file_is_read_in_the_page_and_goes_to_nats_alone(
    tmp_path: Path, context: "BrowserContext", report: Report
) -> None:
    operator = Operator()
    server = ExternalServer(tmp_path, operator.configuration())
    own = operator.credentials(tmp_path / "daemon.creds", "daemon")
    pages = operator.credentials(tmp_path / "pages.creds", "pages", **FOR_PAGES)
    seed = pages.read_text().split("\n")[-3]
    assert seed.startswith("SU")
    nats = f'url = "nats://127.0.0.1:{server.nats_port}"\ncredentials = "{own}"\n{CALLBACKS}'
    with daemon_on(server, nats, settings(server, ws_url=f"ws://127.0.0.1:{server.ws_port}")) as daemon:
        page = context.new_page()
        sent: list[str] = []
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(_text(frame))))
        page.on("request", lambda request: sent.append(request.url + (request.post_data or "")))
        report.watch(page)
        page.goto(f"{daemon.http_url}/console/")
        page.get_by_label("Credentials file").set_input_files(pages)
        page.get_by_role("button", name="Sign in").click()
        live(page)
        page.get_by_text("healthy").first.wait_for()
        assert not [each for each in sent if seed in each], "the key signs, and never leaves the page"

        server.kill()
        page.get_by_role("status", name="Connection").get_by_text("offline").wait_for()
        server.start()
        live(page)
        page.reload()
        live(page)
        page.get_by_text("healthy").first.wait_for()
        with server.halted():
            page.get_by_role("button", name="Check health").click()
            page.get_by_role("button", name="Sign out").click()
            page.get_by_role("heading", name="Sign in").wait_for()
            assert page.evaluate("({...sessionStorage})") == {}
    assert [said for said in report.said if "WebSocket connection" not in said] == []


def test_a_file_that_is_none_of_nats_is_said_to_be_none(tmp_path: Path, context: "BrowserContext") -> None:
    operator = Operator()
    server = ExternalServer(tmp_path, operator.configuration())
    own = operator.credentials(tmp_path / "daemon.creds", "daemon")
    nats = f'url = "nats://127.0.0.1:{server.nats_port}"\ncredentials = "{own}"\n{CALLBACKS}'
    (tmp_path / "wrong.creds").write_text("a shopping list")
    stranger = Operator().credentials(tmp_path / "stranger.creds", "stranger")
    with daemon_on(server, nats, settings(server, ws_url=f"ws://127.0.0.1:{server.ws_port}")) as daemon:
        page = context.new_page()
        page.goto(f"{daemon.http_url}/console/")
        for file, said in ((tmp_path / "wrong.creds", "no credentials file of NATS"), (stranger, "refused this user")):
            page.get_by_label("Credentials file").set_input_files(file)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("alert").get_by_text(said).wait_for()


@contextmanager
def behind_a_proxy(server: ExternalServer, nats: str, cookies: Mapping[str, str]) -> Iterator[SigningInProxy]:
    page = f"http://127.0.0.1:{server.page_port}/console"
    own = settings(server, ws_url=f"ws://127.0.0.1:{server.page_port}{WEBSOCKET_PATH}", page=page)
    nats += f"\n{CALLBACKS}"
    with daemon_on(server, nats, own) as daemon:
        http_port = int(daemon.http_url.rpartition(":")[2])
        proxy = SigningInProxy(server.page_port, http_port=http_port, ws_port=server.ws_port, cookies=cookies)
        with running(proxy):
            yield proxy


def seen_without_a_form(context: "BrowserContext", server: ExternalServer, report: Report, secret: str) -> None:
    """The page is signed in, and has nothing of what it is signed in by."""
    page = context.new_page()
    report.watch(page)
    page.goto(f"http://127.0.0.1:{server.page_port}/console/")
    live(page)
    page.get_by_text("healthy").first.wait_for()
    assert page.evaluate("document.cookie") == ""
    kept = json.dumps(page.evaluate("[{...sessionStorage}, {...localStorage}]"))
    assert secret not in kept + page.content()
    assert report.said == []
    page.reload()
    live(page)


def test_behind_a_proxy_with_user_and_password_in_cookies_nobody_signs_in(
    tmp_path: Path, context: "BrowserContext", report: Report
) -> None:
    users = """authorization { users: [
        { user: daemon, password: d }
        { user: pages, password: a-secret-of-pages, allowed_connection_types: ["WEBSOCKET"] }
    ] }"""
    server = ExternalServer(tmp_path, users, "user_cookie: hg_user, pass_cookie: hg_pass", free_port())
    nats = f'url = "nats://daemon:d@127.0.0.1:{server.nats_port}"'
    with behind_a_proxy(server, nats, {"hg_user": "pages", "hg_pass": "a-secret-of-pages"}) as proxy:
        seen_without_a_form(context, server, report, "a-secret-of-pages")
    assert all("hg_pass=a-secret-of-pages" in head for head in proxy.seen)


def test_behind_a_proxy_with_a_token_in_a_cookie_nobody_signs_in(
    tmp_path: Path, context: "BrowserContext", report: Report
) -> None:
    operator = Operator()
    server = ExternalServer(tmp_path, operator.configuration(), "jwt_cookie: hg_jwt", free_port())
    own = operator.credentials(tmp_path / "daemon.creds", "daemon")
    jwt, _ = operator.user("pages", bearer_token=True, **FOR_PAGES)
    nats = f'url = "nats://127.0.0.1:{server.nats_port}"\ncredentials = "{own}"'
    with behind_a_proxy(server, nats, {"hg_jwt": jwt}) as proxy:
        seen_without_a_form(context, server, report, jwt)
    assert all(re.search(r"(?i)\ncookie: hg_jwt=", head) for head in proxy.seen)


def _text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
