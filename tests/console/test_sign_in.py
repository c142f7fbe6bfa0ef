"""Sign-in with an external server, the scopes of a token, and a daemon that is killed and comes again."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest

from tests.console.browsing import data_rows, go, letters, needs_browser, outcome, publish, sign_in_link, usage
from tests.console.servers.external import ExternalServer, daemon_on
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.process, needs_browser]

SECRET = "a secret of thirty-two bytes or more"


def token(*scopes: str, lifetime_s: int = 600) -> str:
    claims = {"sub": "anna", "scope": " ".join(scopes), "exp": int(time.time()) + lifetime_s}
    return jwt.encode(claims, SECRET, algorithm="HS256")


USERS = """authorization { users: [
    { user: daemon, password: d }
    { user: pages, password: p, allowed_connection_types: ["WEBSOCKET"] }
] }"""


@pytest.fixture
def external(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that asks for tokens, on a server of somebody else's."""
    server = ExternalServer(tmp_path, USERS)
    more = f"""
[auth]
mode = "jwt"
jwt_secret = "{SECRET}"
[callbacks]
secrets = ["whsec_{"YWFh" * 10}"]
[http]
port = {server.page_port}
[console]
ws_url = "ws://127.0.0.1:{server.ws_port}"
"""
    with daemon_on(server, f'url = "nats://daemon:d@127.0.0.1:{server.nats_port}"', more) as process:
        yield process


def test_scopes_of_the_token_decide_and_what_they_do_not_allow_is_shown(
    external: DaemonProcess, context: "BrowserContext"
) -> None:
    page = context.new_page()
    sent: list[str] = []
    page.on("websocket", lambda opened: opened.on("framesent", lambda frame: sent.append(text_of(frame))))
    page.goto(f"{external.http_url}/console/")
    sign_in(page, "pages", "wrong", token("ops:read"))
    page.get_by_role("alert").get_by_text("refused this user").wait_for()
    sign_in(page, "pages", "p", token("ops:read", lifetime_s=-600))
    page.get_by_role("alert").get_by_text("sign in with a fresh one").wait_for()
    sign_in(page, "pages", "p", token("ops:read"))
    page.get_by_role("status", name="Connection").get_by_text("live").wait_for()
    page.get_by_text("anna").first.wait_for()

    go(page, "care")
    prune = page.get_by_role("button", name="Prune")
    prune.get_by_text("needs ops:write").wait_for()
    assert prune.is_disabled()

    page.get_by_role("button", name="Sign out").click()
    sign_in(page, "pages", "p", token("ops:read", "ops:write"))
    page.get_by_role("status", name="Connection").get_by_text("live").wait_for()
    go(page, "care")
    page.get_by_role("button", name="Prune").click()
    outcome(page).get_by_text("Prune has begun").wait_for()

    asked = [frame for frame in sent if "PUB hg." in frame]
    assert asked
    assert all(frame.count("PUB hg.") == frame.count("Authorization: Bearer ") for frame in asked), "in each message"
    assert external.http_url in page.url
    assert "eyJ" not in page.url


def text_of(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")


def sign_in(page: "Page", user: str, password: str, bearer: str) -> None:
    page.get_by_role("textbox", name="User").fill(user)
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("textbox", name="Token").fill(bearer)
    page.get_by_role("button", name="Sign in").click()


def test_a_daemon_that_is_killed_and_started_again_finds_its_pages_as_they_were(
    tmp_path: Path, context: "BrowserContext"
) -> None:
    with running_daemon(tmp_path, f'[nats]\nsync = "interval"\n[http]\nport = {free_port()}\n') as daemon:
        publish(daemon, [usage(producer="kept", status="fine") for _ in range(40)])
        page = context.new_page()
        page.goto(sign_in_link(daemon))
        page.get_by_role("status", name="Connection").get_by_text("live").wait_for()
        go(page, "dead?producer=kept")
        data_rows(page, "Groups").first.get_by_role("checkbox").check()
        page.get_by_role("button", name="Replay…").click()
        dialog = page.get_by_role("dialog", name="Replay")
        dialog.get_by_text("40 would go").wait_for()
        dialog.get_by_label("Letters a second").fill("4")
        dialog.get_by_role("button", name="Replay 40").click()
        dialog.get_by_text("of 40").wait_for()

        daemon.kill9()
        page.get_by_role("status", name="Connection").get_by_text("offline").wait_for()
        daemon.start()

        page.get_by_role("status", name="Connection").get_by_text("live").wait_for()
        dialog.get_by_text("sent 40 of 40").wait_for()
        numbers = eventually(lambda: {letter["replay_number"] for letter in letters(daemon, producers=["kept"])})
        assert numbers == {1}, "each letter went once"
